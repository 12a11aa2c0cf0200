/*
 * vmm/kvm.h: KVM's descriptors and ioctls, with error text. Knows no guest, and starts no thread.
 */
#pragma once

#include <linux/kvm.h>
#include <stdbool.h>
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
/* Whether there is a device that this process may open. */
bool kvm_present(void);
void kvm_done(struct kvm *k);

/* A piece of guest memory: where the guest has it, and which pages of which block it is. */
struct kvm_slot {
    unsigned id;
    uint64_t guest_address, bytes; /* page-aligned */
    void *host;                    /* not owned */
    size_t block;
    uint64_t block_page; /* the block's page that lies at guest_address */
};

/* Adds it, or changes its flags (KVM_MEM_…): the rest of a slot stays as it was added. */
MUST_USE int kvm_set_slot(const struct kvm *k, const struct kvm_slot *slot, uint32_t flags,
                          struct error *err);
/* What a VM says of a KVM_CAP_…: 0 where it has not got it. */
int kvm_extension(const struct kvm *k, int capability);
/* Switches a capability of the VM on, with one argument. */
MUST_USE int kvm_enable(const struct kvm *k, uint32_t capability, uint64_t argument,
                        const char *what, struct error *err);
/* A new vCPU's descriptor, the caller's, with its CPUID set, ready to run. */
MUST_USE int kvm_add_vcpu(struct kvm *k, unsigned index, int *ret_fd, struct error *err);

/* ioctl(fd, request, arg); what it answers, or -1 with `what` could not be done. */
MUST_USE int kvm_ioctl(int fd, unsigned long request, void *arg, const char *what,
                       struct error *err);
