/*
 * transport/uring_probe.h: what io_uring can do here. In a build without liburing, nothing.
 * Each function returns 0, or -1 with an error whose text is only the reason.
 */
#pragma once

#include "base/error.h"

/* Whether a ring can be made and used. */
int uring_probe_ring(struct error *err);
/* Whether this kernel can send without copying, and reports when it had to copy. */
int uring_probe_lending(struct error *err);
/* Whether this kernel lets rings share registered memory. */
int uring_probe_sharing(struct error *err);
