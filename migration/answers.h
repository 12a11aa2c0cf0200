/*
 * migration/answers.h: what the destination says to the source on the return path: a thread reads
 * it, others wait for what they need. Waits are on the group's lock; each has a limit.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/thread.h"
#include "transport/channel_group.h"

/* The longest waits, in ms; 0 = no limit. */
struct answers_limits {
    uint64_t answer_ms;  /* for one answer, */
    uint64_t silence_ms; /* of a destination that says when it is alive, */
    uint64_t hurry_ms;   /* and for the verdict where a cancel came too late */
};

struct answers {
    /* Set before the thread starts, read-only after. */
    struct channel_group *group;
    struct channel *main;
    struct answers_limits limits;

    /* The running thread's alone. */
    struct thread thread;

    /* Under the group's lock. */
    bool known;            /* SHUT has come, */
    uint32_t verdict;      /* and said this: 0, or an error number */
    uint32_t pings, pongs; /* PINGs that were counted, and answered */
    bool acked;            /* SWITCHOVER_ACK: the guest may be stopped */
    bool confirms;         /* the destination waits for SWITCHOVER_RUN, and says that it is alive */
    bool ready;            /* SWITCHOVER_READY: it waits now */
    uint64_t heard_ns;     /* when something came last */
};

/* Reads from here on, behind OPEN_RETURN_PATH. A failure, or an error that the destination tells,
 * is the group's. `a` is zeroed; both others must outlive it. */
MUST_USE int answers_start(struct answers *a, struct channel_group *group, struct channel *main,
                           const struct answers_limits *limits, struct error *err);
/* Counts a PING that is about to be sent: returns its number. The first one offers the confirmed
 * switch-over. */
uint32_t answers_ping(struct answers *a);
/* Waits until every PING has been answered. */
MUST_USE int answers_await_pong(struct answers *a, struct error *err);
/* Waits for SWITCHOVER_ACK until the deadline: 0 also where it has not come. */
MUST_USE int answers_await_ack(struct answers *a, uint64_t deadline, struct error *err);
bool answers_acked(struct answers *a);
/* When a PING was answered: whether the destination lets the guest run only when it is told to. */
bool answers_confirm(struct answers *a);
/* Waits until it has all, and asks. */
MUST_USE int answers_await_ready(struct answers *a, struct error *err);
/* Waits for SHUT. *hurry is set under the group's lock, with a broadcast. */
MUST_USE int answers_await_verdict(struct answers *a, const bool *hurry, struct error *err);
/* The verdict has come, or main was interrupted: returns when the thread has ended. Twice is fine.
 */
void answers_end(struct answers *a);
/* After answers_end(): where the destination has said that it failed, true, and *err tells. Then it
 * has no guest, and never will. */
bool answers_failed(const struct answers *a, struct error *err);
