/*
 * tools/output.h: standard output, and whether what was said there has arrived.
 *
 * Whoever reads it may go away, a disk may be full: ERR_REPORT, as what the program was for is done
 * by then. And whether JSON, printed or sent, has all of its members.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "transport/address.h"

/*
 * Whether all JSON that this thread has made since it was last asked has all of its members, so
 * that nobody has to look at each of them: before it is printed or sent.
 */
MUST_USE int output_has_memory(struct error *err);
int output_no_memory(struct error *err); /* it has not; returns -1 */
/* Fails if something that was ever printed has not arrived. */
MUST_USE int output_flush(struct error *err);
/* The same for the last time: some file systems only say at a close what they could not do. */
MUST_USE int output_close(struct error *err);

/*
 * Refuses an address (ERR_USAGE) that is where standard output or standard error goes: words would
 * stand in the stream.
 */
MUST_USE int output_is_apart(const struct address *at, struct error *err);

/* `done` ("the migration has succeeded") is true; what has failed is only to tell of it. */
int output_lost(struct error *err, const char *done);
