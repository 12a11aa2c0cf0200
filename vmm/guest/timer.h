/*
 * vmm/guest/timer.h: starts, counts and watches the periodic timer of the vCPU's local APIC.
 * The interrupt is taken at CPL3, on the vCPU's own stack.
 */
#pragma once

#include "vmm/guest/env.h"

struct timer {
    const struct guest_params *params;
    uint64_t started_at;   /* TSC */
    uint64_t started_with; /* interrupts at that time */
    uint64_t seen;         /* interrupts since then, at the last check */
    uint64_t last;         /* TSC at the last check */
    uint64_t running;      /* ticks that we have run without an interrupt */
};

/* Starts it, unless the parameters say that there is none. */
void timer_init(struct timer *t, const struct guest_params *params);
/* To be called often while it runs. Reports to the host, once, a timer that stands still or is much
 * too fast. */
void timer_check(struct timer *t, uint64_t now);
