/*
 * vmm/guest/program.h: a payload as a start and steps. Between two steps all that it knows is its
 * state, plain numbers; so whoever runs it outside of KVM can stop it there, and let it go on
 * elsewhere. Under KVM (main.c) it is stopped anywhere, and nobody looks at its state.
 */
#pragma once

#include "vmm/guest/env.h"

#define GUEST_STATE_WORDS 64 /* as much as any of them needs */

struct guest_program {
    const char *name;
    /* `state` is any GUEST_STATE_WORDS words; `params` need not stay where they are. */
    void (*start)(void *state, const struct guest_params *params);
    /* Goes on for a millisecond or so, and as long as a page takes. */
    void (*step)(void *state, const struct guest_params *params);
};

extern const struct guest_program guest_program_counter, guest_program_dirtier, guest_program_idle;
