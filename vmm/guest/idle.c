/*
 * vmm/guest/idle.c: a guest that waits. It touches next to no memory, but has a clock, a timer and
 * registers to lose, and says once per heartbeat that it has not.
 */
#include "vmm/guest/pulse.h"

void guest_main(const struct guest_params *params)
{
    struct pulse pulse;

    pulse_init(&pulse, params);
    for (;;) {
        pulse_beat(&pulse, pulse_now(&pulse), 0, 0);
        pulse_wait(&pulse, pulse.next);
    }
}
