/*
 * vmm/guest/params.h: where a guest finds itself, and what it is told. Included by payloads and by
 * the host.
 *
 * A payload is a flat image without writable data, linked at GUEST_IMAGE. Each vCPU enters at its
 * first byte as if called by the System V ABI, at CPL3 in long mode: rdi is the address of its
 * own struct guest_params, the stack is its own. All memory is mapped from address 0 to its end
 * without a hole, writable and executable, and so is the vCPU's local APIC at GUEST_LAPIC. Pages
 * are counted from address 0. (Physically, what is beyond GUEST_LOW_MAX lies at
 * GUEST_HIGH_START: x86 has its devices between. A guest at CPL3 does not meet that.)
 *
 * Other blocks of memory, where the user has given the machine any, are mapped at their physical
 * addresses, behind main memory; nothing tells the guest of them.
 *
 * Interrupts are on, and the IDT is there to be written, empty: who wants an interrupt makes a gate
 * of type GUEST_GATE with selector GUEST_CODE, which stays at CPL3. A trap gate, because it leaves
 * IF alone: some hosts cannot give it back with IRETQ at CPL3. An exception ends the run.
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
#define GUEST_STACKS      0x20000  /* + vCPU * GUEST_STACK_BYTES, and so aligned */
#define GUEST_DIRECTORIES 0x60000  /* a page directory per GiB, and behind 64 the other blocks' */
#define GUEST_IMAGE       0x100000 /* guest.ld says it, too */
#define GUEST_WORK        0x200000
#define GUEST_LAPIC       0x1000000000 /* behind the most memory there can be */

#define GUEST_STACK_BYTES     0x4000
#define GUEST_IMAGE_MAX_BYTES (GUEST_WORK - GUEST_IMAGE)
#define GUEST_CPUS_MAX        16

/* Physical addresses. */
#define GUEST_LOW_MAX     0xc0000000 /* so much from 0 on */
#define GUEST_HIGH_START  0x100000000
#define GUEST_ADDRESS_END 0x8000000000 /* of all RAM */
#define GUEST_LAPIC_PAGE  0xfee00000

/* Selectors as a 64-bit Linux has them for its programs: CPL3. */
#define GUEST_CODE      0x33
#define GUEST_DATA      0x2b
#define GUEST_GDT_BYTES 0x40
#define GUEST_GATE      0xef   /* present, DPL 3, a 64-bit trap gate */
#define GUEST_IDT_BYTES 0x1000 /* 256 gates */

#define GUEST_PARAMS_MAGIC 0x326d6172706a6d72 /* "rmjpram2": payload and host are of one build */

/* Which page is written next. */
#define GUEST_PATTERN_SEQUENTIAL 0
#define GUEST_PATTERN_RANDOM     1
#define GUEST_PATTERN_HOT        2 /* random, mostly among the first */

/* What pages are written with. */
#define GUEST_WRITE_WORD 0
#define GUEST_WRITE_SSE  1
#define GUEST_WRITE_AVX  2 /* AVX2; SSE where there is none */

/* How much of a page is written. */
#define GUEST_FILL_LINES 0
#define GUEST_FILL_PAGE  1

/* Native byte order: nobody else reads it. */
struct guest_params {
    uint64_t magic;
    uint64_t first_page, n_pages; /* this vCPU's alone, nobody else's */
    uint64_t heartbeat_ticks;     /* of the TSC, between two heartbeats */
    uint64_t vcpu;                /* its number, from 0 */
    uint64_t tsc_khz;
    uint64_t timer_count; /* of the local APIC's timer, undivided, per interrupt; 0: no timer */
    uint64_t timer_ticks; /* the same in ticks of the TSC */

    /* What follows is for the dirtier. */
    uint64_t seed;
    uint64_t pattern, write, fill;
    uint64_t working_pages;     /* so many of its pages are touched */
    uint64_t hot_percent;       /* of these pages, which are hot */
    uint64_t hot_write_percent; /* of the writes, which go there */
    uint64_t verify_percent;    /* of its time, for verifying what is not just being written */
    uint64_t ticks_per_page;    /* times 256; 0: as fast as it can */
    uint64_t slice_ticks;       /* it works and waits in turn within one */
};
