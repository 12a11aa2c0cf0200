/*
 * vmm/guest/registers.h: known words in registers that nothing else uses, so that a guest notices
 * when one was lost while it was paused.
 *
 * Payloads are compiled for general registers only. So no other code uses MXCSR, numbers 8 to 15 of
 * the widest vector registers (XMM, YMM or ZMM), and with AVX-512 k4 to k7. Vector registers 0 and
 * 1 are for code that writes pages. General registers are the compiler's; they are watched over a
 * wait, where a guest is most often paused.
 */
#pragma once

#include "vmm/guest/env.h"

struct registers {
    uint64_t seed;
    unsigned vector_bytes; /* of one register: 16, 32 or 64; 0: none are watched */
    bool has_avx2;
};

/* Finds out which registers there are, and loads them. Each seed gives other words. */
void registers_init(struct registers *r, uint64_t seed);
/* Reports each wrong register to the host; if there is one, loads all again. */
void registers_check(const struct registers *r);
/* Waits for so many ticks at most, and reports each general register that is wrong after it. */
void registers_wait(const struct registers *r, uint64_t ticks);
