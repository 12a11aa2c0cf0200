/*
 * vmm/kvm.h: KVM's descriptors and ioctls, with error text. Knows no guest, and starts no thread.
 */
#pragma once

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct kvm {
    int vm;
    size_t run_bytes;         /* of what KVM shares with us of each vCPU */
    unsigned max_vcpus;       /* of one VM */
    struct kvm_cpuid2 *cpuid; /* all that KVM supports */
    uint64_t xcr0;            /* vector state that a guest may use; 0 where there is no XSAVE */
};

/* Opens /dev/kvm and makes a VM without memory or vCPUs, with its interrupt controllers in KVM. */
MUST_USE int kvm_init(struct kvm *k, struct error *err);
/* Zeroed is fine. */
void kvm_done(struct kvm *k);

/* Guest memory at `guest_address`, `host` is not owned. All in bytes, page-aligned. */
MUST_USE int kvm_add_memory(struct kvm *k, unsigned slot, uint64_t guest_address, void *host,
                            uint64_t len, struct error *err);
/* A new vCPU's descriptor, the caller's, with its CPUID set, ready to run. */
MUST_USE int kvm_add_vcpu(struct kvm *k, unsigned index, int *ret_fd, struct error *err);

/* ioctl(fd, request, arg); what it answers, or -1 with `what` could not be done. */
MUST_USE int kvm_ioctl(int fd, unsigned long request, void *arg, const char *what,
                       struct error *err);
