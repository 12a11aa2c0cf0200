/*
 * vmm/kvm_ring.h: a vCPU's dirty ring as KVM lays it out: memory that both sides write. Knows
 * neither locks nor threads: one thread at a time may use a ring.
 * Format: Linux, Documentation/virt/kvm/api.rst, KVM_CAP_DIRTY_LOG_RING.
 */
#pragma once

#include "vmm/kvm.h"

struct kvm_ring {
    struct kvm_dirty_gfn *entries;
    unsigned n; /* a power of two */
    uint32_t next;
};

/* The KVM_CAP_… of rings that /dev/kvm or a VM has, and how many entries one may have; 0: none. */
uint32_t kvm_ring_capability(int fd, unsigned *ret_most);
/* What the capability is enabled with. */
size_t kvm_ring_bytes(unsigned entries);

MUST_USE int kvm_ring_map(struct kvm_ring *ring, int vcpu, unsigned entries, struct error *err);
void kvm_ring_unmap(struct kvm_ring *ring);

/* The next page that the vCPU has written, or NULL. It stays the next one until it is given back.
 */
const struct kvm_dirty_gfn *kvm_ring_next(const struct kvm_ring *ring);
void kvm_ring_give_back(struct kvm_ring *ring);

/* Protects the pages that were given back again, in all rings of the VM. */
MUST_USE int kvm_ring_reset_all(const struct kvm *kvm, struct error *err);
