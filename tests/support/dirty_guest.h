/*
 * tests/support/dirty_guest.h: a guest under KVM, without a machine around it, that writes to
 * random pages: for tests of dirty sources.
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
    struct dirty_source *ring; /* NULL: none */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t messages[DIRTY_GUEST_CPUS]; /* one per 4096 writes */
    uint64_t full_exits;
    bool failed;
    struct error err;
};

struct dirty_guest_config {
    uint64_t bytes;
    uint64_t first_page, n_pages; /* the pages that all vCPUs write */
    unsigned cpus;
    unsigned ring_entries; /* 0: no ring */
};

/* Makes the guest; its vCPUs do not run yet. */
void dirty_guest_start(const struct dirty_guest_config *config, struct dirty_guest *g);
void dirty_guest_end(struct dirty_guest *g);
void dirty_guest_run(struct dirty_guest *g);
/* For a dirty trial. The first returns when every vCPU has gone on, the second when all stand. */
void dirty_guest_progress(void *g);
void dirty_guest_settle(void *g);
