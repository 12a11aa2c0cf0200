/*
 * tools/report.h: the result of a migration, for people or as JSON.
 */
#pragma once

#include <jansson.h>

#include "base/cancel.h"
#include "base/error.h"
#include "migration/stats.h"
#include "ram/block.h"
#include "tools/options.h"

#include <jansson.h>

/* The members that every result of a migration has. */
json_t *report_json(enum verb_bit verb, const struct migration_snapshot *snap, uint64_t cpu_ms);

/*
 * Prints the result on standard output. `failure` is NULL after success. `ram`, if not NULL, is
 * digested for --digest; `stop` can end that. `file`, if not NULL, is where the memory is now.
 * `cpu_ms` is the process's CPU time for the migration.
 */
MUST_USE int report(const struct options *options, enum verb_bit verb,
                    const struct migration_snapshot *snap, uint64_t cpu_ms,
                    const struct ram_map *ram, const char *file, const struct cancel *stop,
                    const struct error *failure, struct error *err);
/* What is known of a migration that runs; the caller owns it. */
json_t *report_progress_json(const struct migration_snapshot *snap);
