/*
 * tools/measure_report.h: what a dry run has found, for people or as JSON.
 */
#pragma once

#include "base/error.h"
#include "migration/measurement.h"
#include "migration/stats.h"
#include "tools/options.h"

/*
 * Tries packing on the pages that were kept, which takes a second or two, and prints the result on
 * standard output. `failure` is NULL after success; after a failure what was measured until then is
 * printed.
 */
MUST_USE int measure_report(const struct options *options, const struct migration_snapshot *snap,
                            const struct measurement *seen, uint64_t cpu_ms,
                            const struct error *failure, struct error *err);
