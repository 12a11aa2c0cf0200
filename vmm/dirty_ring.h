/*
 * vmm/dirty_ring.h: what a guest under KVM writes, by KVM's dirty rings: a queue of pages per vCPU,
 * so that it is known who wrote them, and that vCPU alone can be slowed (the dirty limit). Knows no
 * thread of a vCPU: their owner calls in, and gives it two ways to reach them.
 * Format: Linux, Documentation/virt/kvm/api.rst, KVM_CAP_DIRTY_LOG_RING.
 */
#pragma once

#include "ram/block.h"
#include "ram/dirty_source.h"
#include "vmm/kvm.h"

#define DIRTY_RING_MIN     1024 /* entries, of 16 bytes */
#define DIRTY_RING_DEFAULT 4096
#define DIRTY_RING_MAX     65536

/* How many entries a ring of this host may have, or -1: it has none, as ERR_SYSTEM. */
MUST_USE int dirty_ring_usable(struct error *err);

/*
 * The VM's vCPUs, which must be made later, will have a ring of so many entries: a power of two.
 * From then on the VM has no dirty log. ERR_USAGE: such a ring cannot be.
 */
MUST_USE int dirty_ring_enable(const struct kvm *kvm, unsigned entries, struct error *err);

struct dirty_ring_config {
    /* All of these outlive it, but the array `vcpus`. */
    const struct kvm *kvm;
    const struct kvm_slot *slots;
    size_t n_slots;
    const struct ram_map *map;
    const int *vcpus; /* their descriptors */
    unsigned n_vcpus;
    unsigned entries; /* as enabled */

    /* On the vCPU's thread, by dirty_ring_hold(): sleeps so long, or until the vCPU is wanted. */
    void (*sleep)(void *arg, unsigned vcpu, uint64_t ns);
    /*
     * Makes the vCPU leave the guest, or its sleep, and pass dirty_ring_hold(); while a limit is
     * set or changed, and not after it is off. Does not wait for the vCPU, and does not call in.
     */
    void (*nudge)(void *arg, unsigned vcpu);
    void *arg;
};

/* The vCPUs have not run yet. start(), sync() and stop() by one thread at a time. */
MUST_USE int dirty_ring_new(const struct dirty_ring_config *config, struct dirty_source **ret,
                            struct error *err);
/* First stop(), then no vCPU calls in any more, then this. NULL is fine. */
void dirty_ring_free(struct dirty_source *s);

/* On the vCPU's thread, at KVM_EXIT_DIRTY_RING_FULL: makes room, wherever start and stop are. */
MUST_USE int dirty_ring_full(struct dirty_source *s, unsigned vcpu, struct error *err);
/* On the vCPU's thread, each time before it enters the guest: sleeps off what it wrote too much. */
void dirty_ring_hold(struct dirty_source *s, unsigned vcpu);

/*
 * Lets no vCPU make more pages dirty than this, on an average; 0: no limit, which is so at first
 * and after stop(). Pages count once between two syncs: that is what a migration has to send. Any
 * thread.
 */
void dirty_ring_limit(struct dirty_source *s, uint64_t bytes_per_s);

struct dirty_ring_counts {
    uint64_t pages;   /* that this vCPU was the first to write since the sync before */
    uint64_t held_ns; /* by the limit */
};

/* Since the source was made, as of the last harvest. Any thread. */
struct dirty_ring_counts dirty_ring_counts(struct dirty_source *s, unsigned vcpu);
