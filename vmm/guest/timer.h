/*
 * vmm/guest/timer.h: the timer of the vCPU's local APIC, periodic: started, counted, and watched.
 * The interrupt is taken at CPL3, on the vCPU's own stack.
 */
#pragma once

#include "vmm/guest/env.h"

struct timer {
    const struct guest_params *params;
    uint64_t started_at;   /* TSC */
    uint64_t started_with; /* interrupts, then */
    uint64_t seen;         /* interrupts since, when it was last looked at */
    uint64_t last;         /* TSC, then */
    uint64_t running;      /* ticks that we have run without an interrupt */
};

/* Starts it, unless the parameters say that there is none. */
void timer_init(struct timer *t, const struct guest_params *params);
/* Often, while it runs. Tells the host, once, of a timer that stands still or runs away. */
void timer_check(struct timer *t, uint64_t now);
