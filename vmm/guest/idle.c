/*
 * vmm/guest/idle.c: a guest that waits. It touches almost no memory, but has a clock, a timer and
 * registers that could be lost; it checks them at each heartbeat.
 */
#include "vmm/guest/program.h"
#include "vmm/guest/pulse.h"

_Static_assert(sizeof(struct pulse) <= GUEST_STATE_WORDS * sizeof(uint64_t), "more state");

static void start(void *state, const struct guest_params *params)
{
    pulse_init(state, params);
    pulse_attach(state, NULL);
}

static void step(void *state, const struct guest_params *params)
{
    struct pulse *pulse = state;

    pulse_attach(pulse, params);
    pulse_beat(pulse, pulse_now(pulse), 0, 0);
    pulse_wait(pulse, pulse->next);
    pulse_attach(pulse, NULL);
}

const struct guest_program guest_program_idle = {"idle", start, step};
