/*
 * transport/channel_group.h: channels that live and die together, and the one owner of failure.
 *
 * Whoever fails first says so here; then every channel is interrupted, every waiter woken, and
 * nobody else's follow-up error matters. Everyone of one migration who waits for another thread
 * does it on this lock and condition.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/error.h"
#include "transport/channel.h"
#include "transport/throttle.h"

#define CHANNEL_GROUP_MAX 512

/* What comes too late to change the outcome. */
enum channel_group_settled {
    SETTLED_NOTHING,
    SETTLED_CANCEL,  /* a cancel: the peer may have all it needs */
    SETTLED_FAILURE, /* a failure that is no cancel: all has come, but for one word on main */
    SETTLED_ALL,     /* any failure: one thread now finishes alone what the others have done */
};

struct channel_group {
    pthread_mutex_t lock;
    /* Something that a waiter may wait for has happened. Every channel's thread may be asleep here:
     * who counts to n wakes them when n is reached, not at each step. */
    pthread_cond_t changed;
    struct cancel cancel; /* requested by the first failure: for waits in poll(2) */
    struct throttle throttle;
    bool failed;                        /* under lock */
    bool closed;                        /* under lock: all is over, in whichever way */
    enum channel_group_settled settled; /* under lock */
    struct error err;                   /* under lock; valid once failed */
    /* Called once at the first failure, under lock, before any channel is interrupted: the last
     * chance to tell the peer why. NULL: nobody is told. Set before the threads start. */
    void (*farewell)(void *arg, const struct error *err);
    void *farewell_arg;
    struct channel *members[CHANNEL_GROUP_MAX]; /* under lock */
    size_t n;
};

MUST_USE int channel_group_init(struct channel_group *g, uint64_t bytes_per_s, struct error *err);
/* Frees no channel: each belongs to who made it. */
void channel_group_done(struct channel_group *g);

/* From now on the channel is interrupted with the others, at once if the group has failed. */
MUST_USE int channel_group_add(struct channel_group *g, struct channel *c, struct error *err);
void channel_group_remove(struct channel_group *g, struct channel *c);
/* Removes and frees it. NULL is fine. */
void channel_group_drop(struct channel_group *g, struct channel *c);

/* Any thread. The first error stands; always -1. */
int channel_group_fail(struct channel_group *g, const struct error *err);
/*
 * 0, and from here on channel_group_fail() has no effect for what `settled` says; or -1 with the
 * first error. Any thread.
 */
MUST_USE int channel_group_settle(struct channel_group *g, enum channel_group_settled settled,
                                  struct error *err);
/* All is over: every channel is interrupted, also one that comes later. No failure. Any thread. */
void channel_group_close(struct channel_group *g);
/* 0, or -1 with the first error. Any thread. */
MUST_USE int channel_group_check(struct channel_group *g, struct error *err);

/* With the lock held: waits for `changed`. False: the deadline has passed. */
bool channel_group_wait(struct channel_group *g, uint64_t deadline);
