/*
 * tools/metrics.h: --metrics: the figures of this process's migrations for Prometheus, at an
 * address or in a file. One per process. Where no metrics are open, each call does nothing.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "migration/stats.h"

/* `where` is tcp:HOST:PORT, unix:PATH, systemd:[NAME] or file:PATH; NULL: no metrics. A server's
 * address is a line on standard error. Call it after interrupt_block(). */
MUST_USE int metrics_open(const char *where, const char *verb, struct error *err);
/* From now on the figures come from read(arg), which is called from other threads. */
void metrics_watch(void (*read)(void *arg, struct migration_snapshot *ret), void *arg);
/* No call of read() is under way or will come. With `keep` its last figures stay; otherwise there
 * was no migration, and those before stay. */
void metrics_unwatch(bool keep);
/* The same for a caller that has the figures itself. */
void metrics_show(const struct migration_snapshot *now);
/* A migration has ended: counts it. Any thread. */
void metrics_ended(enum migration_status status);
/* The file gets the last figures. What could not be written is a line on standard error: the
 * migrations are none the worse for it. */
void metrics_close(void);
