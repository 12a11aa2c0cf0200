/*
 * tests/support/guests.h: guests under KVM that tests run, wait for, and compare.
 */
#pragma once

#include "vmm/machine_kvm.h"

struct machine *guest_new(const char *label, const struct machine_guest_config *config);
/* Wait until every vCPU has had so many heartbeats, or has verified all of its pages so many times
 * since the guest arrived. There is no deadline but ctest's timeout. */
void guest_await(const char *label, struct machine *m, uint64_t heartbeats);
void guest_await_swept(const char *label, struct machine *m, uint64_t sweeps);
/* Checks that the guest runs and has found nothing wrong. */
void guest_check_clean(const char *label, struct machine *m);
/* Checks that the guest at the destination has the state of the guest at the source, in everything
 * that KVM reports of them. Both must be paused. */
void guest_check_same(const char *label, const struct machine *left, struct machine *come);
