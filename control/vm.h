/*
 * control/vm.h: a VM and its migrations: what may run when, and the events about it. It owns the
 * settings, at most one migration out and one in, each on a thread of its own, and the guest's run
 * state. No JSON: the commands that call it are rows in vm_commands.c, migrate_commands.c and
 * dirty_rate_commands.c.
 *
 * All functions but vm_new(), vm_start() and vm_free(): any thread except the guest's own and those
 * that make callbacks. Only vm_incoming_wait() waits for a migration's progress; the others wait at
 * most for the last moments of a migration that has just ended.
 */
#pragma once

#include <stdbool.h>

#include "base/uuid.h"
#include "control/run_status.h"
#include "control/vm_event.h"
#include "migration/dirty_rate.h"
#include "migration/machine.h"
#include "migration/ram_set.h"
#include "migration/stats.h"
#include "settings/gate.h"
#include "transport/engine.h"

struct vm;

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
    /* An incoming migration has refused a connection, and goes on waiting: see
     * migration/observer.h. NULL: nobody is told. */
    void (*refused)(void *arg, const struct error *why);
    void *arg; /* for all functions above */
};

/*
 * Pauses the guest. The order of an owner's calls: vm_new(), a server with its command tables,
 * vm_set_events(), vm_start(); events before vm_set_events() are dropped. At the end:
 * qmp_server_stop(), vm_free(), qmp_server_free(), and then the machine.
 */
MUST_USE int vm_new(const struct vm_config *config, struct vm **ret, struct error *err);
/* To be called once. Unless `paused`, the guest runs, or will run when it has come. */
void vm_start(struct vm *vm, bool paused);
/* Cancels running migrations and waits for their end. The guest is left as it is. NULL is fine. */
void vm_free(struct vm *vm);

/* Sets where events go: qmp_event.h has a receiver. It is called with a lock held and must not call
 * the VM. NULL: nowhere. When this returns no call to the old one is under way. */
void vm_set_events(struct vm *vm, void (*event)(void *arg, const struct vm_event *event),
                   void *arg);

/* --- the guest ------------------------------------------------------------------------------- */

enum run_status vm_run_status(struct vm *vm, bool *ret_running);
const char *vm_name(const struct vm *vm);        /* NULL: none */
const struct uuid *vm_uuid(const struct vm *vm); /* all zero: none */
struct machine *vm_machine(const struct vm *vm);

/* The user's stop and cont, at any time. While a migration runs, or is waited for, they decide
 * whether the guest runs after it. cont after a migration that took the guest away lets it run here
 * again, unless another process now uses its memory. */
MUST_USE int vm_stop(struct vm *vm, struct error *err);
MUST_USE int vm_cont(struct vm *vm, struct error *err);
/* The first call cancels running migrations; over() follows, unless it was called before. */
void vm_quit(struct vm *vm, enum shutdown_reason reason);
bool vm_is_quitting(struct vm *vm);

/* --- migrations ------------------------------------------------------------------------------ */

/* Changes settings that the gate allows, at once also in a migration that runs. */
MUST_USE int vm_set(struct vm *vm, const struct settings *change, struct error *err);
/* A copy, the caller's to settings_copy_done(). */
MUST_USE int vm_settings(struct vm *vm, struct settings *ret, struct error *err);

/*
 * Starts a migration, if the gate allows it, and returns; events and vm_migration() tell how it
 * goes. `world`: facts that only the caller knows, IN_SET(FACT_RESUME) or
 * IN_SET(FACT_BAD_CHANNELS); with the latter `to` may be NULL. `cpr`: where memory is handed over
 * first; NULL: nowhere.
 */
MUST_USE int vm_migrate(struct vm *vm, const struct address *to, const struct address *cpr,
                        uint64_t world, struct error *err);
/*
 * The same for an incoming migration. It listens when this returns, unless the address is a name
 * that cannot be looked up within `patience_ms` (0: no limit but the connect timeout): then the
 * look-up goes on, and the migration may fail by it. With `exit_on_error`, a later failure ends the
 * VM: over(). Without it, and where this call fails, the VM goes on waiting, and may listen again.
 */
MUST_USE int vm_incoming(struct vm *vm, const struct address *at, uint64_t world,
                         bool exit_on_error, uint64_t patience_ms, struct error *err);
/* Waits until the incoming migration has ended, or its guest is here, and fails if it has failed. 0
 * where none was started. */
MUST_USE int vm_incoming_wait(struct vm *vm, struct error *err);
/* The address at which the incoming migration listens, with the real port; "" where it does not
 * listen yet, or no longer. */
#define VM_ADDRESS_LEN 320
void vm_listening(struct vm *vm, char ret[static VM_ADDRESS_LEN]);
/* Cancels the outgoing migration. Where none runs, nothing happens. */
void vm_cancel(struct vm *vm);
/* Lets the outgoing migration leave pre-switchover; refused in any other state. */
MUST_USE int vm_continue(struct vm *vm, struct error *err);

/* The present migration, or the last. */
struct vm_migration {
    enum migration_status status; /* MIGRATION_NONE: there was none */
    bool outgoing;
    struct migration_snapshot now;
    struct error failure;           /* ERR_NONE: it has not failed */
    char listening[VM_ADDRESS_LEN]; /* as of vm_listening() */
};
void vm_migration(struct vm *vm, struct vm_migration *ret);

/* --- its RAM blocks --------------------------------------------------------------------------- */

/* Whether migrations include this RAM block. ERR_USAGE: no block has that name. */
MUST_USE int vm_migratable(struct vm *vm, const char *block, bool *ret, struct error *err);
/* The gate refuses it while a migration runs, in either direction, or is waited for. */
MUST_USE int vm_set_migratable(struct vm *vm, const char *block, bool migratable,
                               struct error *err);

/* --- the dirty rate -------------------------------------------------------------------------- */

/* The last measurement. */
struct vm_dirty_rate {
    bool started;
    enum dirty_rate_status status;
    uint64_t bytes_per_s, start_s, calc_ms; /* start_s: seconds since the host's start */
    enum dirty_rate_mode mode;
    unsigned sample_pages;
};
/* One measurement at a time. One that uses the dirty log ends early when a migration starts. */
MUST_USE int vm_measure(struct vm *vm, enum dirty_rate_mode mode, uint64_t calc_ms,
                        unsigned sample_pages, struct error *err);
void vm_dirty_rate(struct vm *vm, struct vm_dirty_rate *ret);
