/*
 * control/vm.h: a VM: its guest's run state, its settings, its events, its end. vm_migrate.h and
 * vm_incoming.h have its migrations, at most one out and one in, each on a thread of its own. No
 * JSON: the commands that call it are rows in vm_commands.c, migrate_commands.c and
 * dirty_rate_commands.c.
 *
 * All functions but vm_new(), vm_start() and vm_free(): any thread except the guest's own and those
 * that make callbacks. They wait at most for the last moments of a migration that has just ended.
 */
#pragma once

#include <stdbool.h>

#include "control/run_status.h"
#include "control/vm_config.h"
#include "control/vm_event.h"
#include "settings/settings.h"

struct vm;

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

/* --- settings -------------------------------------------------------------------------------- */

/* Changes settings that the gate allows, at once also in a migration that runs. */
MUST_USE int vm_set(struct vm *vm, const struct settings *change, struct error *err);
/* A copy, the caller's to settings_copy_done(). */
MUST_USE int vm_settings(struct vm *vm, struct settings *ret, struct error *err);

/* --- its RAM blocks --------------------------------------------------------------------------- */

/* Whether migrations include this RAM block. ERR_USAGE: no block has that name. */
MUST_USE int vm_migratable(struct vm *vm, const char *block, bool *ret, struct error *err);
/* The gate refuses it while a migration runs, in either direction, or is waited for. */
MUST_USE int vm_set_migratable(struct vm *vm, const char *block, bool migratable,
                               struct error *err);
