/*
 * transport/throttle.h: one rate shared by any number of sending threads.
 *
 * Each sender reserves time for its bytes before it sends them, so the sum over all channels keeps
 * the rate whatever the mix. Waiters are woken by throttle_stop().
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct throttle {
    uint64_t bytes_per_s; /* 0 = no limit; set before the threads start */
    pthread_mutex_t lock;
    pthread_cond_t stop_cond;
    uint64_t free_at_ns; /* when everything reserved so far will have been sent */
    bool stopped;
};

void throttle_init(struct throttle *t, uint64_t bytes_per_s);
void throttle_done(struct throttle *t);
/* Waits until `bytes` may be sent. Any thread. */
void throttle_take(struct throttle *t, uint64_t bytes);
/* Nobody waits any more, now or later. Any thread. */
void throttle_stop(struct throttle *t);
