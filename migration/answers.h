/*
 * migration/answers.h: what the destination says to the source on the return path: a thread reads
 * it, others wait for what they need. Waits are on the group's lock; the connection is watched.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/channel_group.h"

struct answers {
    /* Set before the thread starts, read-only after. */
    struct channel_group *group;
    struct channel *main;
    pthread_t thread;

    /* The running thread's alone. */
    bool started;

    /* Under the group's lock. */
    bool known;       /* SHUT has come, */
    uint32_t verdict; /* and said this: 0, or an error number */
    uint32_t pong;    /* the last PING that was answered */
    bool acked;       /* SWITCHOVER_ACK: the guest may be stopped */
    bool missed;      /* a verdict was waited for no longer */
};

/* Reads from here on, behind OPEN_RETURN_PATH. A failure, or an error that the destination tells,
 * is the group's. `a` is zeroed; both others must outlive it. */
MUST_USE int answers_start(struct answers *a, struct channel_group *group, struct channel *main,
                           struct error *err);
/* Waits for the answer to a PING: no clock. */
MUST_USE int answers_await_pong(struct answers *a, uint32_t ping, struct error *err);
/* Waits for SWITCHOVER_ACK until the deadline: 0 also where it has not come. */
MUST_USE int answers_await_ack(struct answers *a, uint64_t deadline, struct error *err);
bool answers_acked(struct answers *a);
/*
 * Waits for SHUT, as long as it takes. From the moment when *hurry is set, under the group's lock
 * and with a broadcast, no longer than `stall_ms`, where that is not 0.
 */
MUST_USE int answers_await_verdict(struct answers *a, const bool *hurry, uint64_t stall_ms,
                                   struct error *err);
/* The verdict has come, or main was interrupted: returns when the thread has ended. Twice is fine.
 */
void answers_end(struct answers *a);
/* After answers_end(): where the destination has said that it failed, true, and *err tells. */
bool answers_failed(const struct answers *a, struct error *err);
/* After answers_end(): nobody knows what has become of the guest at the destination. */
bool answers_missed(const struct answers *a);
