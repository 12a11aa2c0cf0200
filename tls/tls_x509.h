/*
 * tls/tls_x509.h: loads a folder of certificates into credentials, and checks what is in it. For
 * tls/ only.
 */
#pragma once

#include "tls/tls_creds_state.h"

/* config.dir's authorities, revocation lists, and our own certificate. Errors: tls_creds_new(). */
MUST_USE int tls_x509_load(struct tls_creds *c, struct error *err);
