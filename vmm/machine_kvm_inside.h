/*
 * vmm/machine_kvm_inside.h: what the files of a machine under KVM share. Nobody else includes it:
 * machine_kvm.h is for others. machine_kvm.c makes it and lets it run, machine_kvm_source.c knows
 * what its guest writes, machine_kvm_state.c what it is.
 */
#pragma once

#include <pthread.h>

#include "vmm/machine_kvm.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_brake.h"

#define SLOTS_MAX 2

struct machine_kvm {
    struct machine base;
    struct machine_ops ops; /* base's: what it can do depends on the dirty source */

    /* Set before the guest runs, read-only after. */
    enum dirty_kind dirty;
    int memory_fd; /* behind the memory, or -1 */
    struct kvm kvm;
    struct kvm_slot slots[SLOTS_MAX];
    size_t n_slots;
    struct vcpu_client client;
    struct vcpu *vcpus[GUEST_CPUS_MAX];
    unsigned n_vcpus;
    uint64_t tsc_khz;

    /* Who stops it and lets it run, under `control`; no vCPU's thread takes that. */
    pthread_mutex_t control;
    unsigned holds; /* enum machine_hold, HOLD_BRAKE */

    struct vcpu_brake brake;
    struct guest_report report; /* any thread, under its own lock */
    struct serial serial;       /* the same */
};

static inline struct machine_kvm *kvm_of(struct machine *m)
{
    return CONTAINER_OF(m, struct machine_kvm, base);
}

/* Its dirty source, first before there is memory or a vCPU, then behind the last of them. */
MUST_USE int machine_kvm_prepare_source(struct machine_kvm *m,
                                        const struct machine_kvm_config *config, struct error *err);
MUST_USE int machine_kvm_make_source(struct machine_kvm *m, const struct machine_kvm_config *config,
                                     struct error *err);
/* Where it was not made, too. */
void machine_kvm_free_source(struct machine_kvm *m);

/* save() and load() of its ops. */
int machine_kvm_save(struct machine *base, struct error *err);
int machine_kvm_load(struct machine *base, const struct device_state *from, struct error *err);
