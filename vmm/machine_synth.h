/*
 * vmm/machine_synth.h: generated memory and a thread that writes to it: a guest without a CPU.
 */
#pragma once

#include "migration/machine.h"

struct synth_config {
    uint64_t bytes;               /* of the one block, a multiple of 4096 */
    unsigned zero_percent;        /* of pages that are all zeros and never touched */
    unsigned random_percent;      /* of pages that do not compress; the others look like text */
    uint64_t seed;                /* equal seeds make equal memory */
    uint64_t dirty_bytes_per_s;   /* written while it runs; 0: nothing is written */
    _Atomic uint64_t *ret_filled; /* counts the bytes that are made; NULL: nobody looks */
};

/* The writer runs when this returns. */
MUST_USE int machine_synth(const struct synth_config *config, struct machine **ret,
                           struct error *err);
