/*
 * tools/migrate_view.h: the line a second about a migration that drive/ watches.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "drive/drive_config.h"
#include "tools/options.h"

struct migrate_view {
    json_t *before;    /* at the last line */
    uint64_t at, next; /* ns; 0: it has not begun */
    bool shows;        /* a line a second */
    uint64_t stall_ms; /* for TO to take over */
};

/* Lets *config show its migration in *view, all zeros: in lines of progress if the user wants them.
 */
void migrate_view_watch(struct migrate_view *view, enum progress_mode mode,
                        struct drive_config *config);
