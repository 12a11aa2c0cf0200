/*
 * vmm/huge_pages.h: the huge pages that this host has set aside.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "vmm/numa_bind.h"

#define HUGE_2M (UINT64_C(2) << 20)
#define HUGE_1G (UINT64_C(1) << 30)

/* How many of this size are free, and not reserved already. */
uint64_t huge_pages_free(uint64_t page_bytes);
/* How many of this size are free on these nodes. */
uint64_t huge_pages_free_on(uint64_t page_bytes, const struct numa_nodes *nodes);
/* ERR_SYSTEM: `needed` pages are needed, `there` are there; says how to have more. Always -1. */
int huge_pages_too_few(uint64_t page_bytes, uint64_t needed, uint64_t there, const char *where,
                       struct error *err);
