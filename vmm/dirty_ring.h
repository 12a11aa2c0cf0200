/*
 * vmm/dirty_ring.h: a dirty source for a guest under KVM, by KVM's dirty rings: a queue of pages
 * per vCPU. It tells which vCPU wrote a page, so that this vCPU alone can be slowed (the dirty
 * limit). Knows no vCPU threads: their owner calls it, and gives it two functions to reach them.
 * Format: Linux, Documentation/virt/kvm/api.rst, KVM_CAP_DIRTY_LOG_RING.
 */
#pragma once

#include "ram/block.h"
#include "ram/dirty_source.h"
#include "vmm/kvm.h"

#define DIRTY_RING_MIN     1024 /* entries, of 16 bytes */
#define DIRTY_RING_DEFAULT 4096
#define DIRTY_RING_MAX     65536

/* How many entries a ring of this host may have; -1, as ERR_SYSTEM, where it has no rings. */
MUST_USE int dirty_ring_usable(struct error *err);

/*
 * Before vCPUs are made: each will have a ring of so many entries, a power of two. From then on the
 * VM has no dirty log. ERR_USAGE: there is no ring of that length.
 */
MUST_USE int dirty_ring_enable(const struct kvm *kvm, unsigned entries, struct error *err);

struct dirty_ring_config {
    /* All of these outlive the source, except the array `vcpus`. */
    const struct kvm *kvm;
    const struct kvm_slot *slots;
    size_t n_slots;
    const struct ram_map *map;
    const int *vcpus; /* their descriptors */
    unsigned n_vcpus;
    unsigned entries; /* as enabled */

    /* Called by dirty_ring_hold(), on the vCPU's thread: sleeps for `ns`, or until the vCPU gets an
     * order or a nudge. */
    void (*sleep)(void *arg, unsigned vcpu, uint64_t ns);
    /*
     * Makes the vCPU leave the guest, or its sleep, and call dirty_ring_hold(). Called when the
     * limit changes, and while there is one; never later. It must not wait for the vCPU, nor call
     * this source.
     */
    void (*nudge)(void *arg, unsigned vcpu);
    void *arg;
};

/* Before the vCPUs run. start(), sync() and stop() are for one thread at a time. */
MUST_USE int dirty_ring_new(const struct dirty_ring_config *config, struct dirty_source **ret,
                            struct error *err);
/* After stop(), and after the last call by a vCPU. NULL is fine. */
void dirty_ring_free(struct dirty_source *s);

/* On the vCPU's thread, at KVM_EXIT_DIRTY_RING_FULL: makes room, before, during and after start()
 * and stop(). */
MUST_USE int dirty_ring_full(struct dirty_source *s, unsigned vcpu, struct error *err);
/* On the vCPU's thread, each time before it enters the guest: sleeps for as long as the vCPU has
 * written too much. */
void dirty_ring_hold(struct dirty_source *s, unsigned vcpu);

/*
 * Any thread: limits how fast each vCPU makes pages dirty, on average. 0: no limit, as at the start
 * and after stop(). A page counts once between two syncs, since a migration has to send it once.
 */
void dirty_ring_limit(struct dirty_source *s, uint64_t bytes_per_s);

struct dirty_ring_counts {
    uint64_t pages;   /* that this vCPU was the first to write after the last sync */
    uint64_t held_ns; /* how long the limit has delayed it */
};

/* Any thread: the counts since the source was made, as of the last harvest. */
struct dirty_ring_counts dirty_ring_counts(struct dirty_source *s, unsigned vcpu);
