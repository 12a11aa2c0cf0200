/*
 * tools/migrate_report.h: shows what query-migrate says: a line while the migration runs, and the
 * result. Members that a VM does not have are left out. Nothing here asks a VM.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "drive/drive.h"
#include "tools/live_line.h"

/* A line about the migration, `ms` after the answer `before`, which is NULL the first time. */
void migrate_line(const json_t *before, const json_t *now, uint64_t ms, struct live_line *ret);

/*
 * Prints on standard output: one JSON object, or lines for people, these after a success only.
 * `failure` is NULL after a success.
 */
MUST_USE int migrate_print(const struct drive_result *r, const struct error *failure, bool json,
                           struct error *err);
