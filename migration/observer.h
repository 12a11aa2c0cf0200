/*
 * migration/observer.h: whoever wants to hear at once what a migration does, such as a monitor.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "migration/stats.h"

/*
 * Called by the thread that runs the migration, with no lock held, in the order of the changes. A
 * call may cancel or continue the migration, and may not wait for its end. NULL: not called.
 */
struct migration_observer {
    /* Each change: setup first, the one that is final last, when all else is done. */
    void (*status)(void *arg, enum migration_status status);
    /* A round begins, the second or a later one: QEMU's MIGRATION_PASS. */
    void (*pass)(void *arg, uint64_t pass);
    /* The migration has stopped the guest, which may have stood still already; or takes that back.
     * At a destination: it is here, whatever is still to be done. */
    void (*guest)(void *arg, bool running);
    /* At a destination: a connection was not let in, and what is awaited may still come. By any
     * thread; a few times at most. */
    void (*refused)(void *arg, const struct error *why);
    void *arg;
};

void observer_status(const struct migration_observer *o, enum migration_status status);
void observer_pass(const struct migration_observer *o, uint64_t pass);
void observer_guest(const struct migration_observer *o, bool running);
