/*
 * vmm/machine_synth_guest.h: a replacement for the machine of vmm/machine_kvm.h where there is no
 * KVM. Its guests are the same payloads, compiled for the host; a vCPU is a thread of this process,
 * which runs one step after another. Memory, ledger and report are the same; it has no registers
 * and no timer that could be lost. It migrates between machines of its own kind. Any host, any
 * architecture.
 */
#pragma once

#include "vmm/machine_guest.h"

/*
 * Like machine_kvm_new(). ERR_USAGE also for what needs KVM: a user's own payload, and a dirty
 * ring. DIRTY_LOG is a software dirty log (vmm/dirty_software.h).
 */
MUST_USE int machine_synth_guest_new(const struct machine_guest_config *config,
                                     struct machine **ret, struct error *err);
