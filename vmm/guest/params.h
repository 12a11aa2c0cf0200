/*
 * vmm/guest/params.h: a guest's memory layout and its parameters. Included by payloads and by the
 * host.
 *
 * A payload is a flat image without writable data, linked at GUEST_IMAGE. Each vCPU enters at its
 * first byte as if called by the System V ABI, at CPL3 in long mode: rdi is the address of its
 * own struct guest_params, the stack is its own. All memory is mapped from address 0 to its end
 * without a hole, writable and executable, and so is the vCPU's local APIC at GUEST_LAPIC. Pages
 * are counted from address 0. (Physically, memory beyond GUEST_LOW_MAX is at GUEST_HIGH_START,
 * because x86 has its devices in between. A guest at CPL3 does not notice that.)
 *
 * Other blocks of memory, if the user has given the machine any, are mapped at their physical
 * addresses, after main memory; the guest is not told about them.
 *
 * Interrupts are on. The IDT is empty and can be written: a payload that wants an interrupt makes a
 * gate of type GUEST_GATE with selector GUEST_CODE, which stays at CPL3. It is a trap gate, because
 * that leaves IF unchanged: on some hosts IRETQ at CPL3 cannot restore IF. An exception ends the
 * run.
 *
 *   0x000000  unused
 *   0x001000  page tables
 *   0x008000  GDT
 *   0x009000  IDT
 *   0x010000  a page of parameters for each vCPU
 *   0x020000  a stack for each vCPU
 *   0x060000  page directories
 *   0x100000  the payload
 *   0x200000  what the payload works on, to the end of memory
 */
#pragma once

#include <stdint.h>

#define GUEST_PAGE_TABLES 0x1000 /* PML4, PDPT, the local APIC's page directory */
#define GUEST_GDT         0x8000
#define GUEST_IDT         0x9000   /* 16 bytes for each vector */
#define GUEST_PARAMS      0x10000  /* + vCPU * 0x1000 */
#define GUEST_STACKS      0x20000  /* + vCPU * GUEST_STACK_BYTES, and aligned to that */
#define GUEST_DIRECTORIES 0x60000  /* 64 page directories, a GiB each; then other blocks' */
#define GUEST_IMAGE       0x100000 /* also in guest.ld */
#define GUEST_WORK        0x200000
#define GUEST_LAPIC       0x1000000000 /* the end of the largest main memory */

#define GUEST_STACK_BYTES     0x4000
#define GUEST_IMAGE_MAX_BYTES (GUEST_WORK - GUEST_IMAGE)
#define GUEST_CPUS_MAX        16

/* Physical addresses. */
#define GUEST_LOW_MAX     0xc0000000 /* bytes of main memory from 0 on */
#define GUEST_HIGH_START  0x100000000
#define GUEST_ADDRESS_END 0x8000000000 /* of all RAM */
#define GUEST_LAPIC_PAGE  0xfee00000

/* The selectors of a program under 64-bit Linux: CPL3. */
#define GUEST_CODE      0x33
#define GUEST_DATA      0x2b
#define GUEST_GDT_BYTES 0x40
#define GUEST_GATE      0xef   /* present, DPL 3, a 64-bit trap gate */
#define GUEST_IDT_BYTES 0x1000 /* 256 gates */

#define GUEST_PARAMS_MAGIC 0x326d6172706a6d72 /* "rmjpram2": payload and host are of one build */

/* Which page is written next. */
#define GUEST_PATTERN_SEQUENTIAL 0
#define GUEST_PATTERN_RANDOM     1
#define GUEST_PATTERN_HOT        2 /* random, mostly among the first pages */

/* The instructions that write pages. */
#define GUEST_WRITE_WORD 0
#define GUEST_WRITE_SSE  1
#define GUEST_WRITE_AVX  2 /* AVX2; SSE where there is none */

/* How much of a page is written. */
#define GUEST_FILL_LINES 0
#define GUEST_FILL_PAGE  1

/* In native byte order: only the guest and its host read it. */
struct guest_params {
    uint64_t magic;
    uint64_t first_page, n_pages; /* of this vCPU alone */
    uint64_t heartbeat_ticks;     /* of the TSC, between two heartbeats */
    uint64_t vcpu;                /* its number, from 0 */
    uint64_t tsc_khz;
    uint64_t timer_count; /* of the local APIC's timer, undivided, per interrupt; 0: no timer */
    uint64_t timer_ticks; /* the same in ticks of the TSC */

    /* What follows is for the dirtier. */
    uint64_t seed;
    uint64_t pattern, write, fill;
    uint64_t working_pages;     /* how many of its pages it touches */
    uint64_t hot_percent;       /* how many of these pages are hot */
    uint64_t hot_write_percent; /* how many of the writes go to hot pages */
    uint64_t verify_percent;    /* the share of its time for sweeps, which verify all pages */
    uint64_t ticks_per_page;    /* times 256; 0: as fast as it can */
    uint64_t slice_ticks;       /* the length of a slice, in which it writes, verifies and waits */
};
