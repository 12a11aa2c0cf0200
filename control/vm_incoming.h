/*
 * control/vm_incoming.h: a VM's migration in.
 *
 * All functions: any thread except the guest's own and those that make callbacks.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "transport/address.h"

struct vm;

/*
 * Starts an incoming migration, if the gate allows it; `world` as of vm_migrate(). It listens when
 * this returns, unless the address is a name that cannot be looked up within `patience_ms` (0: no
 * limit but the connect timeout): then the look-up goes on, and the migration may fail by it. With
 * `exit_on_error`, a later failure ends the VM: over(). Without it, and where this call fails, the
 * VM goes on waiting, and may listen again.
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
