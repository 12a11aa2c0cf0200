/*
 * tools/progress.h: prints a line per second while a migration runs. On a terminal the line is
 * rewritten in place; elsewhere lines are printed plainly, and only when asked for.
 */
#pragma once

#include "base/error.h"
#include "migration/stats.h"
#include "tools/options.h"

typedef void progress_read(void *arg, struct migration_snapshot *ret);

/* `read` is called from a thread of its own until progress_stop(). */
MUST_USE int progress_start(enum progress_mode mode, progress_read *read, void *arg,
                            struct error *err);
/* Leaves the terminal's line clean. */
void progress_stop(void);

/* The same line for a caller that reads the figures itself. For one thread only. */
bool progress_wanted(enum progress_mode mode);
void progress_show(const char *line);
void progress_clear(void);
