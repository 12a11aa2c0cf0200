/*
 * vmm/vcpu_throttle.h: takes a share of a guest's time: lets it run for a slice, then pauses it, in
 * turns. Knows no vCPU; the owner pauses and resumes them.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/thread.h"

#define VCPU_THROTTLE_PERCENT_MAX 99

struct vcpu_throttle {
    /* Set before the thread starts; called on that thread. */
    void (*pause)(void *arg, bool on);
    void *arg;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned percent;
    bool end;

    struct thread thread;
};

void vcpu_throttle_init(struct vcpu_throttle *b, void (*pause)(void *arg, bool on), void *arg);
/* Lets the guest go first. */
void vcpu_throttle_done(struct vcpu_throttle *b);
/* Any thread: takes this many percent of the time, up to VCPU_THROTTLE_PERCENT_MAX; 0 lets the
 * guest go. */
void vcpu_throttle_set(struct vcpu_throttle *b, unsigned percent);
