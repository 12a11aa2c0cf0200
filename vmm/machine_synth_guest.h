/*
 * vmm/machine_synth_guest.h: the machine of vmm/machine_kvm.h where there is no KVM. Its guests are
 * the same payloads, compiled for the host; a vCPU is a thread of this process, which takes one
 * step after the other. It has the same memory, ledger and report, migrates between machines of its
 * kind, and has no registers and no timer to lose. Any host, any architecture.
 */
#pragma once

#include "vmm/machine_guest.h"

/*
 * As machine_kvm_new(). ERR_USAGE also for what needs KVM: a payload of one's own, and a dirty
 * ring. DIRTY_LOG is a log that the guest's writes keep themselves.
 */
MUST_USE int machine_synth_guest_new(const struct machine_guest_config *config,
                                     struct machine **ret, struct error *err);
