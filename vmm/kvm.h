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
    size_t run_bytes;         /* of the memory that KVM shares with us for each vCPU */
    unsigned max_vcpus;       /* of one VM */
    struct kvm_cpuid2 *cpuid; /* all that KVM supports */
    uint64_t xcr0;            /* vector state that a guest may use; 0 where there is no XSAVE */
};

/* Opens /dev/kvm and makes a VM without memory or vCPUs, with its interrupt controllers in KVM. */
MUST_USE int kvm_init(struct kvm *k, struct error *err);
/* 0 where this process can have a VM; otherwise ERR_SYSTEM says why not. */
MUST_USE int kvm_usable(struct error *err);
/* Whether this process may open the device /dev/kvm. */
bool kvm_present(void);
/* Zeroed is fine. */
void kvm_done(struct kvm *k);

/* A piece of guest memory: its place in the guest, and the pages of a block that are there. */
struct kvm_slot {
    unsigned id;
    uint64_t guest_address, bytes; /* page-aligned */
    void *host;                    /* not owned */
    size_t block;
    uint64_t block_page; /* the block's page at guest_address */
};

/* Adds a slot, or changes its flags (KVM_MEM_…); nothing else of a slot may change later. */
MUST_USE int kvm_set_slot(const struct kvm *k, const struct kvm_slot *slot, uint32_t flags,
                          struct error *err);
/* The VM's value of a KVM_CAP_…; 0 where it does not have it. */
int kvm_extension(const struct kvm *k, int capability);
/* Switches a capability of the VM on, with one argument. */
MUST_USE int kvm_enable(const struct kvm *k, uint32_t capability, uint64_t argument,
                        const char *what, struct error *err);
/* Makes a vCPU with its CPUID set, ready to run; the caller owns *ret_fd. */
MUST_USE int kvm_add_vcpu(struct kvm *k, unsigned index, int *ret_fd, struct error *err);

/* Returns what ioctl(fd, request, arg) returns; on failure -1, and the error names `what`. */
MUST_USE int kvm_ioctl(int fd, unsigned long request, void *arg, const char *what,
                       struct error *err);
