/*
 * tools/migrate_report.h: shows what query-migrate says: a line while the migration runs, and the
 * result. Members that a VM does not have are left out. Nothing here asks a VM.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"

#define MIGRATE_LINE_MAX 200

/* A line about the migration, `seconds` after the answer `before`, which is NULL the first time. */
void migrate_line(const json_t *before, const json_t *now, double seconds,
                  char ret[static MIGRATE_LINE_MAX]);

/* All that is known at the end. */
struct migrate_result {
    json_t *migration; /* FROM's query-migrate */
    json_t *guest;     /* TO's x-query-guest; NULL: TO does not have it */
    const char *uri;
    const char *from, *to;             /* addresses of the monitors */
    const char *from_state, *to_state; /* run states; NULL: it did not answer */
    const char *failure;               /* NULL after success */
};

/* Prints on standard output: one JSON object, or lines for people, these after a success only. */
MUST_USE int migrate_print(const struct migrate_result *r, bool json, struct error *err);
