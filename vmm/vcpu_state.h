/*
 * vmm/vcpu_state.h: the whole state of a vCPU, as KVM gives and takes it, in sections of a stream.
 * Knows the ioctls, but no thread: the vCPU must stand still.
 */
#pragma once

#include <linux/kvm.h>

#include "base/error.h"
#include "stream/device.h"

/* The model-specific registers that a guest can change and that this KVM has. */
#define VCPU_MSRS_MAX 40
struct vcpu_msrs {
    uint64_t values[VCPU_MSRS_MAX]; /* by their index in the table; 0 where unknown */
    uint64_t known;                 /* bit i: values[i] was read */
};

/* struct kvm_xsave without the flexible array that newer headers add: no feature that needs it is
 * switched on here. */
struct vcpu_xsave {
    uint32_t region[1024];
};

struct vcpu_state {
    struct kvm_mp_state mp_state;
    struct kvm_sregs sregs;
    struct kvm_xcrs xcrs;
    struct vcpu_xsave xsave;
    struct kvm_regs regs;
    struct kvm_lapic_state lapic;
    struct vcpu_msrs msrs;
    struct kvm_vcpu_events events;
    struct kvm_debugregs debugregs;
};

#define VCPU_DEVICES 9

/* Makes a device for each part of *state, with instance number `index`. */
void vcpu_state_devices(struct vcpu_state *state, unsigned index,
                        struct device ret[static VCPU_DEVICES]);

MUST_USE int vcpu_state_read(int vcpu, struct vcpu_state *ret, struct error *err);
/*
 * `state` may come from anyone: KVM refuses what cannot be. `elapsed_ticks` is how far the TSC
 * would have gone on since the state was read.
 */
MUST_USE int vcpu_state_write(int vcpu, const struct vcpu_state *state, uint64_t elapsed_ticks,
                              struct error *err);
