/*
 * tools/progress.h: a line per second while a migration runs: on a terminal it rewrites itself,
 * elsewhere it is printed plainly, and only when asked for.
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

/* The same line by hand, for whoever reads figures by itself: of one thread, as the terminal is
 * one. */
bool progress_wanted(enum progress_mode mode);
void progress_show(const char *line);
void progress_clear(void);
