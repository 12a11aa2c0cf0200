/*
 * vmm/machine_kvm.h: a guest under KVM: memory and vCPUs under one owner. It
 * can be migrated, and be the place where a migration lands (vmm/landing.h).
 */
#pragma once

#include <stdbool.h>

#include "vmm/machine_guest.h"

/* 0 where this process can have a VM, else why not, as ERR_SYSTEM. */
MUST_USE int machine_kvm_usable(struct error *err);
/* The same for who is in a hurry: it may be there and still not work. */
bool machine_kvm_present(void);

/*
 * Made, and held as MACHINE_PAUSED at the payload's first instruction. ERR_USAGE: a configuration
 * that cannot be. machine_free() ends it, wherever the guest is.
 */
MUST_USE int machine_kvm_new(const struct machine_guest_config *config, struct machine **ret,
                             struct error *err);
