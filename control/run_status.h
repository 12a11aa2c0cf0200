/*
 * control/run_status.h: whether a guest runs, and if not, why. It stops and resumes nothing.
 */
#pragma once

#include <stdbool.h>

/* QEMU's RunState, as far as we have it. */
enum run_status {
    RUN_PRELAUNCH, /* it has not run yet, and waits for cont */
    RUN_RUNNING,
    RUN_PAUSED,
    RUN_INMIGRATE,      /* it has not come yet */
    RUN_FINISH_MIGRATE, /* a migration has stopped it */
    RUN_POSTMIGRATE,    /* it was migrated away */
    RUN_STATUS_N,
};

/* As query-status spells it. */
const char *run_status_name(enum run_status status);

struct run_reasons {
    bool started; /* it has run, here or elsewhere */
    bool paused;  /* by its user */
    bool moving;  /* stopped by a migration, or not arrived yet */
    bool waiting; /* for a migration */
    bool moved;   /* it was migrated away, or may have been */
    bool runs;    /* as of the last run_reasons_update() */
};

enum run_status run_status_of(const struct run_reasons *s);
/* To be called after any change of the reasons that keep the guest paused. True: it runs now and
 * did not before, or the other way round. */
bool run_reasons_update(struct run_reasons *s);
