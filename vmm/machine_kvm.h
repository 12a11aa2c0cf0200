/*
 * vmm/machine_kvm.h: a guest under KVM: memory, vCPUs and what the guest says, under one owner.
 * It cannot be migrated yet: there is no dirty source and no device section.
 */
#pragma once

#include "ram/block.h"
#include "vmm/guest_report.h"

struct machine_kvm_config {
    const char *guest; /* a payload's name */
    uint64_t bytes;    /* of memory: a multiple of 2 MiB, from 4 MiB to 64 GiB */
    unsigned cpus;     /* 1 to GUEST_CPUS_MAX */
};

struct machine_kvm;

/* 0 where this process can have a VM, else why not, as ERR_SYSTEM. */
MUST_USE int machine_kvm_usable(struct error *err);

/* Made, and paused at the payload's first instruction. ERR_USAGE: a configuration that cannot be.
 */
MUST_USE int machine_kvm_new(const struct machine_kvm_config *config, struct machine_kvm **ret,
                             struct error *err);
/* Wherever the guest is. NULL is fine. */
void machine_kvm_free(struct machine_kvm *m);

/* By one thread at a time. */
void machine_kvm_resume(struct machine_kvm *m);
/* All vCPUs stand still when this returns. */
void machine_kvm_pause(struct machine_kvm *m);

/* Its one block, from guest-physical 0 on. The machine's, until it is freed. */
struct ram_block *machine_kvm_memory(struct machine_kvm *m);
/* What the guest says: any thread, until the machine is freed. */
struct guest_report *machine_kvm_report(struct machine_kvm *m);
