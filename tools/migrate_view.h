/*
 * tools/migrate_view.h: the line a second about a migration that drive/ watches.
 */
#pragma once

#include <stdint.h>

#include "drive/drive_config.h"
#include "tools/options.h"

struct migrate_view {
    json_t *before;    /* at the last line */
    uint64_t at, next; /* ns; 0: it has not begun */
};

/* Lets *config show its migration in *view, all zeros, if the user wants lines of progress. */
void migrate_view_watch(struct migrate_view *view, enum progress_mode mode,
                        struct drive_config *config);
