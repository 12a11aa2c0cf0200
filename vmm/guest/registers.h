/*
 * vmm/guest/registers.h: known words in registers that nothing else uses, so that a guest notices
 * when one was lost while it stood still.
 *
 * Payloads are compiled for general registers only. So these are ours alone: MXCSR, and of the
 * widest vector registers there are (XMM, YMM or ZMM) numbers 8 to 15; with AVX-512 also k4 to k7.
 * Vector registers 0 and 1 are for whoever writes with them. General registers are the compiler's;
 * they are watched over a wait, where a guest is most often found standing still.
 */
#pragma once

#include "vmm/guest/env.h"

struct registers {
    uint64_t seed;
    unsigned vector_bytes; /* of one: 16, 32 or 64; 0: none are watched */
    bool has_avx2;
};

/* Finds out what there is, and loads it. Each seed gives other words. */
void registers_init(struct registers *r, uint64_t seed);
/* Tells the host of each one that is wrong, and loads them again. */
void registers_check(const struct registers *r);
/* Waits for so many ticks at most, and tells of each general register that is wrong behind it. */
void registers_wait(const struct registers *r, uint64_t ticks);
