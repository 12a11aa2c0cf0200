/*
 * vmm/guest/program.h: a payload as a start and steps. Between two steps all that it knows is its
 * state, plain numbers; so outside of KVM it can be stopped there, and go on elsewhere. Under KVM
 * (main.c) it is stopped anywhere, and its state stays in guest memory.
 */
#pragma once

#include "vmm/guest/env.h"

#define GUEST_STATE_WORDS 64 /* as many as any payload needs */

struct guest_program {
    const char *name;
    /* `state` is any GUEST_STATE_WORDS words; `params` need not stay where they are. */
    void (*start)(void *state, const struct guest_params *params);
    /* Runs for about a millisecond, and to the end of the page that it is at. */
    void (*step)(void *state, const struct guest_params *params);
};

extern const struct guest_program guest_program_counter, guest_program_dirtier, guest_program_idle;
