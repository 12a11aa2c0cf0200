/*
 * tools/limits.h: the limits that a user has set for a migration that this process sends: of time
 * and of rounds, and what happens there.
 */
#pragma once

#include "base/thread.h"
#include "migration/source.h"
#include "tools/options.h"

struct limits {
    /* Set before the thread starts. */
    const struct options *options;
    struct source *source;
    struct runtime_parameters unlimited; /* with them the guest is stopped after any round */
    uint64_t deadline;
    struct thread thread; /* runs if there is a limit of time */

    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool stop;
    const char *why; /* it was cancelled; NULL: it was not */
    enum remedy remedy;
};

/* `live` has the migration's settings. The source runs soon after; limits_end() must follow. */
MUST_USE int limits_start(struct limits *l, const struct options *options, struct source *source,
                          const struct runtime_parameters *live, struct error *err);
/* A round begins: the observer's. */
void limits_pass(struct limits *l, uint64_t pass);
/* The migration has ended with rc and *err; the cancel of a limit gets its reason. Returns rc. */
int limits_end(struct limits *l, int rc, struct error *err);
