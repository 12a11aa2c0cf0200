/*
 * control/vm_config.h: what a VM's owner decides when it makes the VM, and what it wants to hear.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "migration/machine.h"
#include "migration/ram_set.h"
#include "migration/stats.h"
#include "settings/advice.h"
#include "transport/engine.h"

struct vm_config {
    const char *name;        /* NULL: none */
    const struct uuid *uuid; /* NULL: none; copied */
    /* Outlives the VM. Between vm_new() and vm_free() only the VM, its migrations and the target
     * may stop and resume it. */
    struct machine *machine;
    bool waiting; /* for a migration: nothing runs until one has come */
    /*
     * With `waiting`: makes the target of the next migration; the VM frees it. Called for each
     * incoming migration, since another may follow one that failed: memory has to be zero again, or
     * this has to fail. The target's commit() may resume MACHINE_MOVING; if not, the VM does soon
     * after. Called with a lock held: it must not call the VM.
     */
    int (*land)(void *arg, const struct ram_set_rules *rules, struct target **ret,
                struct error *err);
    /*
     * For a migration in mode cpr-exec, when all is written and the guest is paused: replaces this
     * process by the command, a line of words (base/words.h), and does not return; or fails, and
     * leaves all as it was. Called by the migration's thread, with no lock held. NULL: this program
     * cannot be replaced.
     */
    int (*replace)(void *arg, const char *command, struct error *err);
    /* STREAM_CAP_… that a guest's source decides, not our settings. */
    uint32_t open_capabilities;
    uint64_t host_facts;         /* IN_SET(FACT_NO_…): what the host and the machine lack */
    const struct engine *engine; /* NULL: engine_standard() */
    uint64_t connect_timeout_ms, stall_timeout_ms; /* as in destination.h */
    uint64_t answer_timeout_ms;                    /* as in connect.h */
    /* A notice for people, about something harmless. Called by any thread, with a lock held: it
     * must not call the VM. NULL: notices are dropped. */
    void (*notice)(void *arg, const char *text);
    /* A user can say cont. Then a guest that has come whole, but may not run because the source was
     * lost before it confirmed, is kept paused. Otherwise that is a failure like any other. */
    bool attended;
    unsigned populate_threads;
    /* Files: no checksums are written, and none are compared with what is read. */
    bool without_checksums;
    /*
     * The VM has ended: after quit, when no migration runs any more; or because an incoming
     * migration has failed in a way that ends it. `failure` says why, else NULL. Called once, by
     * any thread, perhaps by the one that called vm_quit(): the owner calls vm_free() on another.
     */
    void (*over)(void *arg, const struct error *failure);
    /*
     * A migration has failed, and the guest stays paused until cont: only its user can know whether
     * it runs at the other end. Called by the migration's thread. NULL: nobody is told.
     */
    void (*undecided)(void *arg, const struct error *why);
    /* A migration, out or in, has ended: MIGRATION_COMPLETED, _FAILED or _CANCELLED. Called by its
     * thread. NULL: nobody is told. */
    void (*migrated)(void *arg, enum migration_status status);
    /* The rounds of a migration do not shrink. Called by the migration's thread. NULL: nobody is
     * told. */
    void (*advice)(void *arg, const struct advice *advice);
    /* An incoming migration has refused a connection, and goes on waiting: see
     * migration/observer.h. NULL: nobody is told. */
    void (*refused)(void *arg, const struct error *why);
    void *arg; /* for all functions above */
};
