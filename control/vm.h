/*
 * control/vm.h: a VM and its migrations: who may run when, and what is told of it. It owns the
 * settings, at most one migration out and one in, each on a thread of its own, and the guest's run
 * state. No JSON but in its events; the commands that lead here are rows in vm_commands.c,
 * migrate_commands.c and dirty_rate_commands.c.
 *
 * All functions but vm_new(), vm_start() and vm_free(): any thread but the guest's
 * own and the ones that make callbacks. None but vm_incoming_wait() waits for a migration's
 * progress, only for the last moments of one that has just ended.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/uuid.h"
#include "migration/dirty_rate.h"
#include "migration/gate.h"
#include "migration/machine.h"
#include "migration/ram_set.h"
#include "migration/stats.h"
#include "transport/engine.h"

struct vm;

struct vm_config {
    const char *name;        /* NULL: none */
    const struct uuid *uuid; /* NULL: none; copied */
    /* Outlives the VM. Between vm_new() and vm_free() only the VM, its migrations and the landing
     * stop and resume it. */
    struct machine *machine;
    bool waiting; /* for a migration: nothing runs until one has come */
    /*
     * With `waiting`: a place for the next one to land, which the VM frees. Called for each that is
     * to come in, since one that failed may be followed by another: memory has to be zero again, or
     * this has to fail. Its commit() may resume MACHINE_MOVING; if not, the VM does soon after.
     * Called with a lock held: it must not call the VM.
     */
    int (*land)(void *arg, const struct ram_set_rules *rules, struct landing **ret,
                struct error *err);
    /*
     * A migration in mode cpr-exec: all is written, and the guest stands still. Runs the command,
     * words as of base/words.h, in this process's place, and does not return; or fails, and leaves
     * all as it was. By the migration's thread, with no lock held. NULL: this program cannot.
     */
    int (*replace)(void *arg, const char *command, struct error *err);
    /* STREAM_CAP_… that the source of a guest decides, not our settings. */
    uint32_t open_capabilities;
    uint64_t host_facts;         /* IN_SET(FACT_NO_…): what host and machine lack */
    const struct engine *engine; /* NULL: the first */
    uint64_t connect_timeout_ms, stall_timeout_ms; /* as in incoming.h */
    uint64_t answer_timeout_ms;                    /* as in connect.h */
    /* A line for people about what does no harm. Any thread, with a lock held: it must not call
     * back. NULL: nobody reads them. */
    void (*notice)(void *arg, const char *text);
    /* Somebody can say cont. Then a guest that has come whole and may not run, because the source
     * was lost before it confirmed, is kept; else that is a failure like any other. */
    bool attended;
    unsigned populate_threads;
    /*
     * It is over: quit, and no migration runs any more; or the incoming one that the VM was made
     * for has failed, which `failure` tells, else NULL. Once, by any thread, perhaps the one that
     * called vm_quit(); the owner goes on elsewhere and ends with vm_free().
     */
    void (*over)(void *arg, const struct error *failure);
    /*
     * A migration has failed, and the guest stands still until cont: only its user can know whether
     * it runs at the other end. By the migration's thread. NULL: nobody listens.
     */
    void (*undecided)(void *arg, const struct error *why);
    /* An incoming migration has not let in a connection, and waits on. As observer.h. NULL: nobody
     * is told. */
    void (*refused)(void *arg, const struct error *why);
    void *arg; /* for land(), replace(), over(), undecided() and refused() */
};

/*
 * Stops the guest, wherever it was. The order of an owner's calls: vm_new(), a server over its
 * tables, vm_set_events(), vm_start() (or earlier: what is told before is not heard); when it is
 * over qmp_server_stop(), vm_free(), qmp_server_free(), and then the machine.
 */
MUST_USE int vm_new(const struct vm_config *config, struct vm **ret, struct error *err);
/* Once: the guest runs, or, waiting, will when it has come; unless `paused`. */
void vm_start(struct vm *vm, bool paused);
/* Cancels what runs and waits for its end. The guest is left as it is. NULL is fine. */
void vm_free(struct vm *vm);

/* Where events go, from here on; the callee takes `data`, NULL where there is none. Called with a
 * lock held: it must not call back. NULL: nowhere; when this returns no call is under way. */
void vm_set_events(struct vm *vm, void (*event)(void *arg, const char *name, json_t *data),
                   void *arg);

/* --- the guest ------------------------------------------------------------------------------- */

/* "running", "paused", …: QEMU's RunState. */
const char *vm_run_state(struct vm *vm, bool *ret_running);
const char *vm_name(const struct vm *vm);        /* NULL: none */
const struct uuid *vm_uuid(const struct vm *vm); /* all zero: none */
struct machine *vm_machine(const struct vm *vm);

/* The user's stop and cont, at any time: while a migration runs, or one is waited for, they say
 * what is to be when it is over. cont behind a migration that took the guest away lets it run here
 * again, unless its memory is now another's. */
MUST_USE int vm_stop(struct vm *vm, struct error *err);
MUST_USE int vm_cont(struct vm *vm, struct error *err);
/* The first call cancels what runs; over() follows, unless it was called. `reason`: as in QEMU's
 * event SHUTDOWN, "host-qmp-quit", "host-signal", "host-error", "guest-shutdown", "guest-panic". */
void vm_quit(struct vm *vm, const char *reason);
bool vm_is_quitting(struct vm *vm);

/* --- migrations ------------------------------------------------------------------------------ */

/* Through the gate. Takes effect at once in a migration that runs, where the gate lets it. */
MUST_USE int vm_set(struct vm *vm, const struct settings *change, struct error *err);
/* A copy, the caller's to settings_copy_done(). */
MUST_USE int vm_settings(struct vm *vm, struct settings *ret, struct error *err);

/*
 * Starts one, through the gate, and returns: how it goes is told by events and vm_migration().
 * `world`: what only the caller knows, IN_SET(FACT_RESUME) or IN_SET(FACT_BAD_CHANNELS); with the
 * latter `to` may be NULL. `cpr`: where memory is handed over first; NULL: nowhere.
 */
MUST_USE int vm_migrate(struct vm *vm, const struct address *to, const struct address *cpr,
                        uint64_t world, struct error *err);
/*
 * The same for one that is to come in. It listens when this returns, unless the address is a name
 * that cannot be looked up within `patience_ms` (0: no limit but the connect timeout): then the
 * migration goes on with that, and may fail by it. With `exit_on_error`, a failure is the VM's end:
 * over(). Without, and where this fails, the VM waits on, and may listen again.
 */
MUST_USE int vm_incoming(struct vm *vm, const struct address *at, uint64_t world,
                         bool exit_on_error, uint64_t patience_ms, struct error *err);
/* Waits until the incoming migration has ended, or its guest is here, and fails as it has. One that
 * was never started, or whose end was told by over(), is none. */
MUST_USE int vm_incoming_wait(struct vm *vm, struct error *err);
/* The address it listens at, with the real port; "" where it does not, or no longer. */
#define VM_ADDRESS_LEN 320
void vm_listening(struct vm *vm, char ret[static VM_ADDRESS_LEN]);
/* Of the outgoing one. Where none runs, nothing happens. */
void vm_cancel(struct vm *vm);
/* Leaves pre-switchover; refused in any other state. */
MUST_USE int vm_continue(struct vm *vm, struct error *err);

/* What is known of the present migration, or the last. */
struct vm_migration {
    enum migration_status status; /* MIGRATION_NONE: there was none */
    bool outgoing;
    struct migration_snapshot now;
    char failure[ERR_LINE_LEN];     /* in a monitor's words; "": it has not failed */
    char listening[VM_ADDRESS_LEN]; /* "": it does not */
};
void vm_migration(struct vm *vm, struct vm_migration *ret);

/* --- its RAM blocks --------------------------------------------------------------------------- */

/* Whether migrations are about this block of the machine's. ERR_USAGE: there is none of that name.
 */
MUST_USE int vm_migratable(struct vm *vm, const char *block, bool *ret, struct error *err);
/* Through the gate: not while a migration runs, in either direction, or is waited for. */
MUST_USE int vm_set_migratable(struct vm *vm, const char *block, bool migratable,
                               struct error *err);

/* --- the dirty rate -------------------------------------------------------------------------- */

/* The last measurement. */
struct vm_dirty_rate {
    bool started;
    enum dirty_rate_status status;
    uint64_t bytes_per_s, start_s, calc_ms; /* start_s: since this host has started */
    enum dirty_rate_mode mode;
    unsigned sample_pages;
};
/* One at a time. By the log it ends, early, where a migration starts. */
MUST_USE int vm_measure(struct vm *vm, enum dirty_rate_mode mode, uint64_t calc_ms,
                        unsigned sample_pages, struct error *err);
void vm_dirty_rate(struct vm *vm, struct vm_dirty_rate *ret);
