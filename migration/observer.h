/*
 * migration/observer.h: for code that wants to hear at once what a migration does, such as a
 * monitor.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "migration/stats.h"

/*
 * The functions are called by the thread that runs the migration, with no lock held, in the order
 * of the changes. They may cancel or continue the migration, but must not wait for its end. NULL:
 * not called.
 */
struct migration_observer {
    /* Each change of the status: setup is first; the final status is last, when all else is
     * done. */
    void (*status)(void *arg, enum migration_status status);
    /* A round begins, the second or a later one: QEMU's MIGRATION_PASS. */
    void (*pass)(void *arg, uint64_t pass);
    /* The rounds do not shrink; told once. */
    void (*advice)(void *arg, const struct advice *advice);
    /* The migration has stopped the guest, which may have been paused before, or lets it run again.
     * At a destination: the guest is here, whatever is still to be done. */
    void (*guest)(void *arg, bool running);
    /* At a destination: a connection was refused; the migration may still come. Called by any
     * thread, for the first few refusals only. */
    void (*refused)(void *arg, const struct error *why);
    void *arg;
};

void observer_status(const struct migration_observer *o, enum migration_status status);
void observer_pass(const struct migration_observer *o, uint64_t pass);
void observer_advice(const struct migration_observer *o, const struct advice *advice);
void observer_guest(const struct migration_observer *o, bool running);
