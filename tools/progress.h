/*
 * tools/progress.h: prints a line per second while a migration runs. On a terminal the line is
 * rewritten in place; elsewhere lines are printed plainly, and only when asked for. With
 * --progress json each is an object.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "migration/stats.h"
#include "tools/live_line.h"
#include "tools/options.h"

typedef void progress_read(void *arg, struct migration_snapshot *ret);

/* `read` is called from a thread of its own until progress_stop(). */
MUST_USE int progress_start(enum progress_mode mode, progress_read *read, void *arg,
                            struct error *err);
/* Leaves the terminal's line clean. */
void progress_stop(void);

/* One plain line about what is known now, whenever it is asked for. */
void progress_tell(progress_read *read, void *arg);

/* The same lines for a caller that reads the figures itself. For one thread only. */
bool progress_wanted(enum progress_mode mode);
/* Fitted to the terminal's width. */
void progress_show(const struct live_line *line);
/* With --progress json: an object with the member `event`; takes over the members. */
void progress_show_json(json_t *members);
void progress_tell_line(const struct live_line *line);
void progress_clear(void);
