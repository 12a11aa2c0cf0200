/*
 * tools/output.h: standard output, and whether all of it was written.
 *
 * Its reader may go away, or a disk may be full. That is ERR_REPORT, since the program has done its
 * work by then.
 */
#pragma once

#include "base/error.h"
#include "transport/address.h"

/* Fails if anything that was printed so far could not be written. */
MUST_USE int output_flush(struct error *err);
/* The same at the end, with a close: some file systems report a failed write only then. */
MUST_USE int output_close(struct error *err);

/*
 * Refuses (ERR_USAGE) an address that is also our standard output or standard error: our text would
 * get into the stream.
 */
MUST_USE int output_is_apart(const struct address *at, struct error *err);

/* Makes *err an ERR_REPORT: `done` ("the migration has succeeded") is true, the report is lost. */
int output_lost(struct error *err, const char *done);
