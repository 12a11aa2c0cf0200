/*
 * transport/throttle.h: one rate shared by any number of sending threads.
 *
 * Each sender reserves a place for its bytes in one long row before it sends them, so the sum over
 * all channels keeps the rate whatever the mix. A place in the row becomes a time by the rate of
 * the moment: who waits when that changes waits by the new one.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct throttle {
    _Atomic uint64_t bytes_per_s; /* 0 = no limit; written under the lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    uint64_t reserved;           /* the row's length, in bytes */
    uint64_t since_ns, since_at; /* then the row's first `since_at` bytes had been sent */
    bool stopped;
};

void throttle_init(struct throttle *t, uint64_t bytes_per_s);
void throttle_done(struct throttle *t);
/* Any thread, also while others wait. What was sent before counts by the rate it was sent at. */
void throttle_set_rate(struct throttle *t, uint64_t bytes_per_s);
/* Waits until `bytes` may be sent. Any thread. */
void throttle_take(struct throttle *t, uint64_t bytes);
/* Nobody waits any more, now or later. Any thread. */
void throttle_stop(struct throttle *t);
