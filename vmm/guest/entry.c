/*
 * vmm/guest/entry.c: a payload's entry under KVM, the image's first byte. The build sets
 * GUEST_PROGRAM: the payload of this image.
 */
#include "vmm/guest/program.h"

/* Traps if host and guest are not of one build. */
void guest_main(const struct guest_params *params)
{
    uint64_t state[GUEST_STATE_WORDS];

    if (params->magic != GUEST_PARAMS_MAGIC)
        __builtin_trap();
    GUEST_PROGRAM.start(state, params);
    for (;;)
        GUEST_PROGRAM.step(state, params);
}
