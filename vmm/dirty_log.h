/*
 * vmm/dirty_log.h: a dirty source for a guest under KVM, by KVM's log: a bit per page of each slot.
 *
 * Where KVM has manual protection, reading the log and protecting pages again are two steps: a
 * sync only reads, and each channel thread arms the pages that it is about to send. Otherwise one
 * call for each slot does both.
 */
#pragma once

#include "ram/block.h"
#include "ram/dirty_source.h"
#include "vmm/kvm.h"

/* `kvm`, `slots` and `map` outlive it. */
MUST_USE int dirty_log_new(const struct kvm *kvm, const struct kvm_slot *slots, size_t n_slots,
                           const struct ram_map *map, struct dirty_source **ret, struct error *err);
/* NULL is fine. */
void dirty_log_free(struct dirty_source *s);
