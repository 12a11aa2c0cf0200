/*
 * transport/channel_group.h: the channels of one migration, which end together, and its first
 * error.
 *
 * The thread that fails first reports its error here. Then every channel is interrupted and every
 * waiter is woken; the errors that follow from this do not count. All threads of a migration use
 * this lock and condition to wait for each other.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/error.h"
#include "transport/channel.h"
#include "transport/rate_limit.h"

#define CHANNEL_GROUP_MAX 512

/* Which failures come too late to change the outcome. */
enum channel_group_settled {
    SETTLED_NOTHING,
    SETTLED_CANCEL,  /* a cancel: the peer may have all that it needs */
    SETTLED_FAILURE, /* all but a cancel: everything has come except one message on main */
    SETTLED_ALL,     /* any failure: the others are done, one thread finishes alone */
};

struct channel_group {
    pthread_mutex_t lock;
    /* Something that a waiter may wait for has happened. Every channel's thread may sleep here, so
     * a thread that counts events signals once, when its count is complete, not at each event. */
    pthread_cond_t changed;
    struct cancel cancel; /* requested by the first failure: for waits in poll(2) */
    struct rate_limit rate_limit;
    bool failed;                        /* under lock */
    bool closed;                        /* under lock: the migration is over, with any outcome */
    enum channel_group_settled settled; /* under lock */
    struct error err;                   /* under lock; valid once failed */
    /* Called once, at the first failure, under lock, before any channel is interrupted: the last
     * chance to tell the peer why. NULL: the peer is not told. Set before the threads start. */
    void (*farewell)(void *arg, const struct error *err);
    void *farewell_arg;
    struct channel *members[CHANNEL_GROUP_MAX]; /* under lock */
    size_t n;
};

MUST_USE int channel_group_init(struct channel_group *g, uint64_t bytes_per_s, struct error *err);
/* Frees no channel: each belongs to the code that made it. */
void channel_group_done(struct channel_group *g);

/* From now on the channel is interrupted with the others; at once if the group is over. */
MUST_USE int channel_group_add(struct channel_group *g, struct channel *c, struct error *err);
void channel_group_remove(struct channel_group *g, struct channel *c);
/* Removes and frees it. NULL is fine. */
void channel_group_drop(struct channel_group *g, struct channel *c);

/* Any thread. Only the first error is kept. Always returns -1. */
int channel_group_fail(struct channel_group *g, const struct error *err);
/*
 * Returns 0; from then on channel_group_fail() ignores the failures that `settled` names. Or -1
 * with the first error, if there was one. Any thread.
 */
MUST_USE int channel_group_settle(struct channel_group *g, enum channel_group_settled settled,
                                  struct error *err);
/* Ends the group without a failure: interrupts every channel, also one added later. Any thread. */
void channel_group_close(struct channel_group *g);
/* 0, or -1 with the first error. Any thread. */
MUST_USE int channel_group_check(struct channel_group *g, struct error *err);

/* With the lock held: waits for `changed`. False: the deadline has passed. */
bool channel_group_wait(struct channel_group *g, uint64_t deadline);
