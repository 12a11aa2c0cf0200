/*
 * tests/support/dirty_guest.h: a guest under KVM that writes to random pages, and no machine around
 * it: for tests of dirty sources.
 */
#pragma once

#include <pthread.h>

#include "ram/block.h"
#include "vmm/dirty_ring.h"
#include "vmm/kvm.h"
#include "vmm/vcpu.h"

#define DIRTY_GUEST_CPUS 2

struct dirty_guest {
    struct ram_map map; /* of one block */
    struct kvm kvm;
    struct kvm_slot slots[2];
    size_t n_slots;
    struct vcpu_client client;
    struct vcpu *vcpus[DIRTY_GUEST_CPUS];
    unsigned n_vcpus;
    unsigned ring_entries;
    struct dirty_source *ring; /* where it has one */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t messages[DIRTY_GUEST_CPUS]; /* one per 4096 writes */
    uint64_t full_exits;
    bool failed;
    struct error err;
};

struct dirty_guest_config {
    uint64_t bytes;
    uint64_t first_page, n_pages; /* that are written; vCPUs share them */
    unsigned cpus;
    unsigned ring_entries; /* 0: no ring */
};

/* It stands still. */
void dirty_guest_start(const struct dirty_guest_config *config, struct dirty_guest *g);
void dirty_guest_end(struct dirty_guest *g);
void dirty_guest_run(struct dirty_guest *g);
/* These fit a dirty trial. Every vCPU has gone on; all stand still. */
void dirty_guest_progress(void *g);
void dirty_guest_settle(void *g);
