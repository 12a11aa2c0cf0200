/*
 * vmm/synth_vcpu.h: a thread that stands for a vCPU where there is no KVM: it takes one step of its
 * owner's after the other, and stands still between two. Knows no guest.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct synth_vcpu_client {
    /* On the vCPU's thread: a short step. Whatever fails here ends the vCPU. */
    int (*step)(void *arg, unsigned vcpu, struct error *err);
    /* On the vCPU's thread: it takes no more steps, for this reason. */
    void (*failed)(void *arg, unsigned vcpu, const struct error *err);
    void *arg;
};

struct synth_vcpu;

/* It stands still when this returns. `client` outlives it. */
MUST_USE int synth_vcpu_new(unsigned index, const struct synth_vcpu_client *client,
                            struct synth_vcpu **ret, struct error *err);
/* Ends the thread behind its step. NULL is fine. */
void synth_vcpu_free(struct synth_vcpu *v);

/* All of these on any thread but the vCPU's; they do nothing to one that has failed. */
void synth_vcpu_resume(struct synth_vcpu *v);
/* Asks it to stand still; several can be asked before the first is waited for. */
void synth_vcpu_kick(struct synth_vcpu *v);
/* After synth_vcpu_kick(): it is between two steps. */
void synth_vcpu_wait(struct synth_vcpu *v);

/* On the vCPU's thread, in a step: sleeps for that long, or until it gets an order. */
void synth_vcpu_sleep(struct synth_vcpu *v, uint64_t ns);
