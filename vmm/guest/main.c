/*
 * vmm/guest/main.c: a payload's entry under KVM, the image's first byte. GUEST_PROGRAM is set by
 * the build: the payload that the image is of.
 */
#include "vmm/guest/program.h"

/* Stops for good if host and guest are not of one build. */
void guest_main(const struct guest_params *params)
{
    uint64_t state[GUEST_STATE_WORDS];

    if (params->magic != GUEST_PARAMS_MAGIC)
        __builtin_trap();
    GUEST_PROGRAM.start(state, params);
    for (;;)
        GUEST_PROGRAM.step(state, params);
}
