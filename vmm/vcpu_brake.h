/*
 * vmm/vcpu_brake.h: takes a share of a guest's time: lets it run for a slice, holds it, and so on.
 * Knows no vCPU; holding is the owner's.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/thread.h"

#define BRAKE_PERCENT_MAX 99

struct vcpu_brake {
    /* Set before the thread starts. On its thread, or on that of vcpu_brake_set(). */
    void (*hold)(void *arg, bool on);
    void *arg;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned percent;
    bool end;

    struct thread thread;
};

void vcpu_brake_init(struct vcpu_brake *b, void (*hold)(void *arg, bool on), void *arg);
/* The guest is let go first. */
void vcpu_brake_done(struct vcpu_brake *b);
/* Any thread: so many percent of the time, 0 to BRAKE_PERCENT_MAX; 0 lets go. */
void vcpu_brake_set(struct vcpu_brake *b, unsigned percent);
