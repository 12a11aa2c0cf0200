/*
 * vmm/guest/pulse.h: the regular work of a guest that checks more than memory: it sends heartbeats,
 * and checks its clock, its timer and its registers.
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

/* Sets where its parameters are, for the length of a step; NULL after the step. */
void pulse_attach(struct pulse *p, const struct guest_params *params);
/* Starts the timer, loads the registers. */
void pulse_init(struct pulse *p, const struct guest_params *params);
/* The TSC. Reports to the host, once, that it has gone backwards. */
uint64_t pulse_now(struct pulse *p);
/* To be called often: sends a heartbeat and makes all checks, when they are due. */
void pulse_beat(struct pulse *p, uint64_t now, uint64_t verified, uint64_t written);
/* Waits until that TSC, or until the next heartbeat is due. */
void pulse_wait(struct pulse *p, uint64_t until);
