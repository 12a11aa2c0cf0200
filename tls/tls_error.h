/*
 * tls/tls_error.h: errors of the TLS library itself. For tls/ only.
 */
#pragma once

#include "base/error.h"

/* Empties OpenSSL's error queue; the first error in it is the cause. */
const char *tls_library_reason(void);
/* ERR_SYSTEM: `what` and the cause. Always -1. */
int tls_library_error(struct error *err, const char *what);
