/*
 * tools/metrics_text.h: a migration's figures as Prometheus reads them: text format 0.0.4. No I/O.
 *
 * docs/metrics.md lists every metric; a test compares it with this text.
 */
#pragma once

#include "base/buf.h"
#include "migration/stats.h"

struct metrics {
    const char *verb, *version;
    uint64_t completed, failed, cancelled; /* migrations of this process that have ended */
    /* The present migration, or the last; MIGRATION_NONE: there was none. */
    struct migration_snapshot now;
};

/* Appends the text, which ends in a line feed. Fails only for want of memory. */
MUST_USE int metrics_text(const struct metrics *m, struct buf *to, struct error *err);
