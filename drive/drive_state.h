/*
 * drive/drive_state.h: what the steps of a drive share. For files of drive/ only.
 */
#pragma once

#include "base/cancel.h"
#include "drive/drive_config.h"
#include "drive/migrate_path.h"
#include "drive/monitor.h"
#include "settings/advice.h"

#define DRIVE_SETTLE_MS 2000 /* for a VM to settle after a migration has ended */

struct drive {
    struct drive_config config; /* its settings may change: migrate_settings_adopt() */
    struct monitor from, to;
    char uri[MIGRATE_URI_MAX]; /* where FROM connects */
    bool heard;                /* TO already listened when we came */
    struct cancel cancel;      /* drive_cancel() */
    bool gone_on;              /* FROM was told to leave pre-switchover */
    bool switches;             /* FROM was told to stop the guest however long the rest takes */
    struct advice advice;      /* whether the rounds shrink */
    /* Why the migration is being cancelled, if it is. */
    struct {
        const char *why; /* NULL: not cancelled */
        enum remedy remedy;
        uint64_t at, deadline;
    } stop;
    json_t *migration; /* FROM's query-migrate as last seen; NULL: none was started */
    json_t *guest;     /* TO's x-query-guest; NULL: it has none */
    char from_state[MONITOR_WORD_MAX], to_state[MONITOR_WORD_MAX]; /* drive_result() */
};

/* Disconnects; the object stays the caller's. */
void drive_done(struct drive *d);
/* Whether both ends are on this host. */
bool drive_is_local(const struct drive *d);
/* Waits a moment between two looks at a migration. A request ends it; NULL: none does. */
void drive_tick(const struct cancel *cancel);
