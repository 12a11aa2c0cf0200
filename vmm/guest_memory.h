/*
 * vmm/guest_memory.h: a guest's memory as it finds it: page tables, payload and parameters, laid
 * out as vmm/guest/params.h says. Knows no KVM.
 */
#pragma once

#include "ram/block.h"
#include "vmm/guest/params.h"
#include "vmm/guest_image.h"

/* The page tables are of 2 MiB pages. */
#define GUEST_MEMORY_UNIT (UINT64_C(2) << 20)
#define GUEST_MEMORY_MIN  (UINT64_C(4) << 20)
#define GUEST_MEMORY_MAX  (UINT64_C(64) << 30)

/* Where an offset into the guest's main memory is, physically. */
static inline uint64_t guest_memory_physical(uint64_t offset)
{
    return offset < GUEST_LOW_MAX ? offset : offset - GUEST_LOW_MAX + GUEST_HIGH_START;
}

/* A length of guest memory that can be. */
MUST_USE int guest_memory_check(uint64_t bytes, struct error *err);
/* Page tables and descriptor tables, in fresh memory of an address from 0 on. */
void guest_memory_lay_out(struct ram_block *b);
/* The same, and a payload that is built in. */
MUST_USE int guest_memory_load(struct ram_block *b, const struct guest_image *image,
                               struct error *err);
/*
 * Whether another block may be there, physically, beside so much main memory: not over that, x86's
 * devices or the local APIC, and within what the page tables reach. *directories, at first 0: the
 * page directories that all such blocks take. ERR_USAGE.
 */
MUST_USE int guest_memory_check_place(uint64_t main_bytes, uint64_t address, uint64_t bytes,
                                      uint64_t *directories, struct error *err);
/* In the page tables of `main`, behind guest_memory_lay_out(): the guest has it at that address. */
void guest_memory_map_more(struct ram_block *main, uint64_t address, uint64_t bytes);
/* A vCPU's page of parameters. */
void guest_memory_params(struct ram_block *b, unsigned vcpu, const struct guest_params *params);
