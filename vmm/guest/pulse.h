/*
 * vmm/guest/pulse.h: what every guest that keeps more than memory does now and then: it says that
 * it is alive, and looks after its clock, its timer and its registers.
 */
#pragma once

#include "vmm/guest/registers.h"
#include "vmm/guest/timer.h"

struct pulse {
    const struct guest_params *params;
    struct registers registers;
    struct timer timer;
    uint64_t next; /* TSC at which a heartbeat is due */
    uint64_t last; /* TSC that was read last */
};

/* Where its parameters are, for the length of a step; NULL behind it. */
void pulse_attach(struct pulse *p, const struct guest_params *params);
/* Starts the timer, loads the registers. */
void pulse_init(struct pulse *p, const struct guest_params *params);
/* The TSC. Tells the host, once, if it has gone backwards. */
uint64_t pulse_now(struct pulse *p);
/* Often: a heartbeat and all checks, where they are due. */
void pulse_beat(struct pulse *p, uint64_t now, uint64_t verified, uint64_t written);
/* Sleeps until then, or until the next heartbeat is due. */
void pulse_wait(struct pulse *p, uint64_t until);
