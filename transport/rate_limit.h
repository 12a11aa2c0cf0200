/*
 * transport/rate_limit.h: one rate limit shared by any number of sending threads.
 *
 * Before it sends, each sender reserves a place for its bytes in one queue, so all channels
 * together keep the rate, whatever each of them sends. The rate turns a place in the queue into a
 * time. If the rate changes, senders that wait use the new rate.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct rate_limit {
    _Atomic uint64_t bytes_per_s; /* 0 = no limit; written under the lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    uint64_t reserved;           /* the queue's length, in bytes since the start */
    uint64_t since_ns, since_at; /* at since_ns the queue's first since_at bytes had been sent */
    bool stopped;
};

void rate_limit_init(struct rate_limit *t, uint64_t bytes_per_s);
void rate_limit_done(struct rate_limit *t);
/* Any thread, also while others wait. Bytes sent before the change count at the old rate. */
void rate_limit_set_rate(struct rate_limit *t, uint64_t bytes_per_s);
/* Waits until `bytes` may be sent. Any thread. */
void rate_limit_take(struct rate_limit *t, uint64_t bytes);
/* Ends all waits, now and later. Any thread. */
void rate_limit_stop(struct rate_limit *t);
