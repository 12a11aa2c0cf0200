/*
 * vmm/vm_state.h: the state of a VM under KVM beside its vCPUs: interrupt controllers and time, in
 * sections of a stream. The VM must be paused.
 */
#pragma once

#include <linux/kvm.h>

#include "base/error.h"
#include "stream/device.h"

struct vm_clock {
    uint64_t clock_ns;    /* KVM's paravirtual clock */
    uint64_t realtime_ns; /* the host's CLOCK_REALTIME at that moment */
    uint64_t tsc_khz;
};

struct vm_state {
    struct kvm_irqchip pics[2], ioapic;
    struct vm_clock clock;
};

#define VM_DEVICES 4

void vm_state_devices(struct vm_state *state, struct device ret[static VM_DEVICES]);

/* `tsc_khz`: of this VM's vCPUs. */
MUST_USE int vm_state_read(int vm, uint64_t tsc_khz, struct vm_state *ret, struct error *err);
/*
 * `state` may come from anyone. Time goes on as if the VM had not been paused, by the hosts'
 * clocks; *ret_elapsed_ticks is how far a TSC would have gone on meanwhile. ERR_PEER where the TSC
 * ran at another rate.
 */
MUST_USE int vm_state_write(int vm, const struct vm_state *state, uint64_t tsc_khz,
                            uint64_t *ret_elapsed_ticks, struct error *err);
