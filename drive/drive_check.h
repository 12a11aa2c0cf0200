/*
 * drive/drive_check.h: the first step: are these two VMs what they should be, and where will FROM
 * connect? For files of drive/ only.
 */
#pragma once

#include "drive/drive_state.h"

/* FROM and TO must differ: a monitor may serve one client at a time, and our second connection
 * would wait for the end of the first. */
MUST_USE int drive_check_two(const char *from, const char *to, struct error *err);
/* Sets d->uri and d->heard, and learns what both VMs have set. */
MUST_USE int drive_check(struct drive *d, struct error *err);
