/*
 * vmm/guest/hosted.h: the machine of a payload that runs in a thread of its host: the functions of
 * vmm/guest/env.h, by calls to the host. The VM and the thread are the caller's.
 *
 * A payload's state may have come from anyone. Whatever address it has, only the guest's memory is
 * touched.
 */
#pragma once

#include "vmm/guest/program.h"

struct guest_host {
    /* Set before the payload's first step, read-only after. */
    uint8_t *memory;
    uint64_t memory_bytes; /* a multiple of pages */
    /* Called on the thread of the step. */
    uint64_t (*ticks)(void *arg);
    void (*say)(void *arg, uint16_t port, const uint64_t words[GUEST_MESSAGE_WORDS]);
    void (*wait)(void *arg, uint64_t ticks);
    void (*wrote)(void *arg, uint64_t page);
    void *arg;

    /* For the thread; for others between two steps. */
    bool is_stray; /* the payload has touched an address that is not in memory */
    uint64_t stray_address;
    uint64_t nowhere[GUEST_PAGE_WORDS]; /* what it gets at such an address */
};

/* Runs a payload's start, or one step, on this thread. */
void guest_host_start(struct guest_host *h, const struct guest_program *program, void *state,
                      const struct guest_params *params);
void guest_host_step(struct guest_host *h, const struct guest_program *program, void *state,
                     const struct guest_params *params);
