/*
 * tools/output.h: standard output, and whether what was said there has arrived.
 *
 * Whoever reads it may go away, a disk may be full, memory may run out while the report is made.
 * What the program was for is done by then: these errors are ERR_REPORT.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

/* Before any JSON is made: from here on it is noticed where there is no memory for it. */
void output_init(void);

/*
 * Whether all JSON that this thread has made since it was last asked has all of its members: to
 * look at each of them is not necessary.
 */
MUST_USE int output_has_memory(struct error *err);
/* It has not. Returns -1. */
int output_no_memory(struct error *err);
/* Fails if something that was ever printed has not arrived. */
MUST_USE int output_flush(struct error *err);
/* The same for the last time: some file systems only say at a close what they could not do. */
MUST_USE int output_close(struct error *err);

/* `done` ("the migration has succeeded") is true; what has failed is only to tell of it. */
int output_lost(struct error *err, const char *done);
