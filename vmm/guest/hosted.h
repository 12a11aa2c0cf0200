/*
 * vmm/guest/hosted.h: a payload's machine where it runs in a thread of its host: what vmm/guest/
 * env.h asks for, done by calls. Knows no VM and no thread, but that they are its caller's.
 *
 * A payload's state may have come from anyone. Wherever it says that memory is, only the guest's
 * is touched.
 */
#pragma once

#include "vmm/guest/program.h"

struct guest_host {
    /* Set before the payload's first step, read-only after. */
    uint8_t *memory;
    uint64_t memory_bytes; /* a multiple of pages */
    /* On the thread of the step. */
    uint64_t (*ticks)(void *arg);
    void (*say)(void *arg, uint16_t port, const uint64_t words[GUEST_MESSAGE_WORDS]);
    void (*wait)(void *arg, uint64_t ticks);
    void (*wrote)(void *arg, uint64_t page);
    void *arg;

    /* The thread's, for others between two steps. */
    bool is_stray; /* it has touched what is no memory, */
    uint64_t stray_address;
    uint64_t nowhere[GUEST_PAGE_WORDS]; /* and this was there instead */
};

/* A payload's start, or one step, on this thread. */
void guest_host_start(struct guest_host *h, const struct guest_program *program, void *state,
                      const struct guest_params *params);
void guest_host_step(struct guest_host *h, const struct guest_program *program, void *state,
                     const struct guest_params *params);
