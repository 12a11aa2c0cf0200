/*
 * vmm/guest_memory.h: a guest's memory at its start: page tables, payload and parameters, laid out
 * as vmm/guest/params.h says. Knows no KVM.
 */
#pragma once

#include "ram/block.h"
#include "vmm/guest/params.h"
#include "vmm/guest_image.h"

/* The page tables have 2 MiB pages. */
#define GUEST_MEMORY_UNIT (UINT64_C(2) << 20)
#define GUEST_MEMORY_MIN  (UINT64_C(4) << 20)
#define GUEST_MEMORY_MAX  (UINT64_C(64) << 30)

/* The guest-physical address of an offset into the guest's main memory. */
static inline uint64_t guest_memory_physical(uint64_t offset)
{
    return offset < GUEST_LOW_MAX ? offset : offset - GUEST_LOW_MAX + GUEST_HIGH_START;
}

/* Checks a length of guest memory. ERR_USAGE. */
MUST_USE int guest_memory_check(uint64_t bytes, struct error *err);
/* Writes page tables and descriptor tables into fresh main memory. */
void guest_memory_lay_out(struct ram_block *b);
/* The same, and a built-in payload. */
MUST_USE int guest_memory_load(struct ram_block *b, const struct guest_image *image,
                               struct error *err);
/*
 * Checks the guest-physical place of another block, beside `main_bytes` of main memory: it must not
 * overlap main memory, x86's devices or the local APIC, and must be within reach of the page
 * tables. *directories counts the page directories that all such blocks need; it is 0 before the
 * first call. ERR_USAGE.
 */
MUST_USE int guest_memory_check_place(uint64_t main_bytes, uint64_t address, uint64_t bytes,
                                      uint64_t *directories, struct error *err);
/* After guest_memory_lay_out(): maps another block in the page tables of `main`, so that the guest
 * has it at that address. */
void guest_memory_map_more(struct ram_block *main, uint64_t address, uint64_t bytes);
/* Writes a vCPU's page of parameters. */
void guest_memory_params(struct ram_block *b, unsigned vcpu, const struct guest_params *params);
