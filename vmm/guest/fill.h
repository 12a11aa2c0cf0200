/*
 * vmm/guest/fill.h: filling a page's words, in each of the ways of GUEST_WRITE that there are.
 */
#pragma once

#include "vmm/guest/env.h"

#define FILL_STEP UINT64_C(0x9e3779b97f4a7c15)

/*
 * Writes value, value + FILL_STEP, … into n words: n a multiple of 4, not 0. Vector registers 0
 * and 1 are lost.
 */
void fill_words(uint64_t with, volatile uint64_t *words, uint64_t value, uint64_t n);
