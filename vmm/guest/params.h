/*
 * vmm/guest/params.h: where a guest finds itself, and what it is told. Included by payloads and by
 * the host.
 *
 * A payload is a flat image without writable data, linked at GUEST_IMAGE. Each vCPU enters at its
 * first byte as if called by the System V ABI, at CPL3 in long mode: rdi is the address of its
 * own struct guest_params, the stack is its own. All memory is mapped at its physical address,
 * writable and executable. There is no IDT: an exception ends the run.
 *
 *   0x000000  unused
 *   0x001000  page tables
 *   0x010000  a page of parameters for each vCPU
 *   0x020000  a stack for each vCPU
 *   0x100000  the payload
 *   0x200000  what the payload works on, to the end of memory
 */
#pragma once

#include <stdint.h>

#define GUEST_PAGE_TABLES 0x1000   /* PML4, PDPT, then a page directory per GiB */
#define GUEST_PARAMS      0x10000  /* + vCPU * 0x1000 */
#define GUEST_STACKS      0x20000  /* + vCPU * GUEST_STACK_BYTES */
#define GUEST_IMAGE       0x100000 /* guest.ld says it, too */
#define GUEST_WORK        0x200000

#define GUEST_STACK_BYTES     0x4000
#define GUEST_IMAGE_MAX_BYTES (GUEST_WORK - GUEST_IMAGE)
#define GUEST_CPUS_MAX        16

#define GUEST_PARAMS_MAGIC 0x316d6172706a6d72 /* "rmjpram1": payload and host are of one build */

/* Native byte order: nobody else reads it. */
struct guest_params {
    uint64_t magic;
    uint64_t first_page, n_pages; /* this vCPU's alone, nobody else's */
    uint64_t heartbeat_ticks;     /* of the TSC, between two heartbeats */
};
