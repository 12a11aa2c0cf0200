/*
 * vmm/machine_kvm_inside.h: what the files of a machine under KVM share; other files include
 * machine_kvm.h. machine_kvm.c makes the machine and lets it run, machine_kvm_source.c makes its
 * dirty source, machine_kvm_state.c saves and loads its state.
 */
#pragma once

#include "vmm/kvm.h"
#include "vmm/machine_guest.h"
#include "vmm/vcpu.h"

#define SLOTS_MAX (2 + MEMORY_MAPPED_MAX)

struct machine_kvm {
    struct machine_guest guest;

    /* Set before the guest runs, read-only after. */
    enum dirty_kind dirty;
    struct kvm kvm;
    struct kvm_slot slots[SLOTS_MAX];
    size_t n_slots;
    struct vcpu_client client;
    struct vcpu *vcpus[GUEST_CPUS_MAX];
    unsigned n_vcpus;
    uint64_t tsc_khz;
};

static inline struct machine_kvm *kvm_of(struct machine *m)
{
    return CONTAINER_OF(m, struct machine_kvm, guest.base);
}

/* Its dirty source: prepared before there is memory or a vCPU, made after the last vCPU. */
MUST_USE int machine_kvm_prepare_source(struct machine_kvm *m,
                                        const struct machine_guest_config *config,
                                        struct error *err);
MUST_USE int machine_kvm_make_source(struct machine_kvm *m,
                                     const struct machine_guest_config *config, struct error *err);
/* Also where it was not made. */
void machine_kvm_free_source(struct machine_kvm *m);

/* save() and load() of its ops. */
int machine_kvm_save(struct machine *base, struct error *err);
int machine_kvm_load(struct machine *base, const struct device_state *from, struct error *err);
