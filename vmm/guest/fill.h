/*
 * vmm/guest/fill.h: fills words of a page, in each way of GUEST_WRITE.
 */
#pragma once

#include "vmm/guest/env.h"

#define FILL_STEP UINT64_C(0x9e3779b97f4a7c15)

/*
 * Writes value, value + FILL_STEP, … into n words; n is a multiple of 4, not 0. Overwrites vector
 * registers 0 and 1.
 */
void fill_words(uint64_t with, volatile uint64_t *words, uint64_t value, uint64_t n);
