/*
 * tools/migrate_view.h: the line a second about a migration that drive/ watches, and the one that
 * SIGUSR1 asks for.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "drive/drive_config.h"
#include "tools/options.h"

struct migrate_view {
    enum progress_mode mode;
    json_t *before;    /* at the last line */
    uint64_t at, next; /* ns; 0: it has not begun */
    bool shows;        /* a line a second */
    uint64_t stall_ms; /* for TO to take over */
    char status[32];   /* the last that a detail has told */
    uint64_t round;    /* the same */
    pthread_mutex_t lock;
    json_t *last; /* under the lock: the last answer */
};

#define MIGRATE_VIEW_NEW                                                                           \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }

/* Lets *config show its migration in *view, a MIGRATE_VIEW_NEW, as the user wants it. */
void migrate_view_watch(struct migrate_view *view, enum progress_mode mode,
                        struct drive_config *config);
/* Tells what is known now; for any thread. `arg` is the view. */
void migrate_view_tell(void *arg);
void migrate_view_done(struct migrate_view *view);
