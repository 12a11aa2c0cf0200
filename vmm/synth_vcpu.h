/*
 * vmm/synth_vcpu.h: a thread in place of a vCPU, where there is no KVM: it runs its owner's steps
 * one after another, and can stand still between two. Knows no guest.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct synth_vcpu_client {
    /* On the vCPU's thread: a short step. A failure ends the vCPU. */
    int (*step)(void *arg, unsigned vcpu, struct error *err);
    /* On the vCPU's thread: it takes no more steps, for this reason. */
    void (*failed)(void *arg, unsigned vcpu, const struct error *err);
    void *arg;
};

struct synth_vcpu;

/* The vCPU stands still when this returns. `client` outlives it. */
MUST_USE int synth_vcpu_new(unsigned index, const struct synth_vcpu_client *client,
                            struct synth_vcpu **ret, struct error *err);
/* Ends the thread after its step. NULL is fine. */
void synth_vcpu_free(struct synth_vcpu *v);

/* These three: any thread but the vCPU's. They do nothing to a vCPU that has failed. */
void synth_vcpu_resume(struct synth_vcpu *v);
/* Asks it to stand still; several can be asked before the first wait. */
void synth_vcpu_kick(struct synth_vcpu *v);
/* After synth_vcpu_kick(): waits until it is between two steps. */
void synth_vcpu_wait(struct synth_vcpu *v);

/* On the vCPU's thread, in a step: sleeps for that long, or until it gets an order. */
void synth_vcpu_sleep(struct synth_vcpu *v, uint64_t ns);
