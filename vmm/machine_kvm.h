/*
 * vmm/machine_kvm.h: a guest under KVM: memory and vCPUs under one owner. It can be migrated, and
 * an incoming migration can go to it (capture/target.h).
 */
#pragma once

#include <stdbool.h>

#include "vmm/machine_guest.h"

/* 0 where this process can have a VM; otherwise ERR_SYSTEM says why not. */
MUST_USE int machine_kvm_usable(struct error *err);
/* A quicker check: whether this process may open KVM's device. KVM may still not be usable. */
bool machine_kvm_present(void);

/*
 * The machine is paused as MACHINE_PAUSED at the payload's first instruction. ERR_USAGE: a
 * configuration that no machine can have. machine_free() ends it, wherever the guest is.
 */
MUST_USE int machine_kvm_new(const struct machine_guest_config *config, struct machine **ret,
                             struct error *err);
