/*
 * tests/support/guests.h: guests under KVM that tests run, wait for, and compare.
 */
#pragma once

#include "vmm/machine_kvm.h"

struct machine *guest_new(const char *label, const struct machine_guest_config *config);
/* Waits until every vCPU has had so many heartbeats, or verified all of its pages that often since
 * it came. However long that takes: ctest's patience is the deadline. */
void guest_await(const char *label, struct machine *m, uint64_t heartbeats);
void guest_await_swept(const char *label, struct machine *m, uint64_t sweeps);
/* It runs, and has found nothing wrong. */
void guest_check_clean(const char *label, struct machine *m);
/* Both stand still: what the one was when it left, the other is; all that KVM says of them. */
void guest_check_same(const char *label, const struct machine *left, struct machine *come);
