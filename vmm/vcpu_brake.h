/*
 * vmm/vcpu_brake.h: takes a share of a guest's time: lets it run for a slice, then holds it, in
 * turns. Knows no vCPU; the owner does the holding.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/thread.h"

#define BRAKE_PERCENT_MAX 99

struct vcpu_brake {
    /* Set before the thread starts; called on that thread. */
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
/* Lets the guest go first. */
void vcpu_brake_done(struct vcpu_brake *b);
/* Any thread: takes this many percent of the time, up to BRAKE_PERCENT_MAX; 0 lets the guest go. */
void vcpu_brake_set(struct vcpu_brake *b, unsigned percent);
