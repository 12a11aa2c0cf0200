/*
 * control/vm_dirty_rate.h: how fast a VM's guest writes its memory.
 *
 * Both functions: any thread except the guest's own and those that make callbacks.
 */
#pragma once

#include "migration/dirty_rate.h"

struct vm;

/* The last measurement. */
struct vm_dirty_rate {
    bool started;
    enum dirty_rate_status status;
    uint64_t bytes_per_s, start_s, calc_ms; /* start_s: seconds since the host's start */
    enum dirty_rate_mode mode;
    unsigned sample_pages;
};
/* One measurement at a time. One that uses the dirty log ends early when a migration starts. */
MUST_USE int vm_measure(struct vm *vm, enum dirty_rate_mode mode, uint64_t calc_ms,
                        unsigned sample_pages, struct error *err);
void vm_dirty_rate(struct vm *vm, struct vm_dirty_rate *ret);
