/*
 * control/vm_migrate.h: a VM's migration out, and what is known of its migrations.
 *
 * All functions: any thread except the guest's own and those that make callbacks. They wait at most
 * for the last moments of a migration that has just ended.
 */
#pragma once

#include "control/vm_incoming.h"
#include "migration/stats.h"

/*
 * Starts a migration, if the gate allows it, and returns; events and vm_migration() tell how it
 * goes. `world`: facts that only the caller knows, IN_SET(FACT_RESUME) or
 * IN_SET(FACT_BAD_CHANNELS); with the latter `to` may be NULL. `cpr`: where memory is handed over
 * first; NULL: nowhere.
 */
MUST_USE int vm_migrate(struct vm *vm, const struct address *to, const struct address *cpr,
                        uint64_t world, struct error *err);
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
