/*
 * migration/replies.h: what the destination says to the source on the return path. The thread of
 * the migration answers, the first failure is told by whichever thread it befalls, and a thread of
 * this file's says each second that we are alive, to a source that knows the word.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/thread.h"
#include "stream/stream_format.h"
#include "transport/channel_group.h"

struct replies {
    /* Set before other threads come, read-only after. */
    struct channel_group *group;

    /* The running thread's alone. */
    struct thread thread;

    bool ending; /* under the group's lock */

    pthread_mutex_t lock; /* one message at a time, and: */
    struct channel *main; /* NULL: the return path is not open */
    bool closed;          /* the last word has been said */
};

/* The group must outlive it. */
void replies_init(struct replies *r, struct channel_group *group);
/* After replies_end(). */
void replies_done(struct replies *r);

/* OPEN_RETURN_PATH has come on `main`. ERR_PEER: a second one. */
MUST_USE int replies_open(struct replies *r, struct channel *main, struct error *err);
bool replies_are_open(struct replies *r);
/* Says each second that we are alive, until replies_end(). */
MUST_USE int replies_keep_alive(struct replies *r, struct error *err);
/* Nothing happens where the return path is not open, or closed already. SHUT closes it. */
MUST_USE int replies_send(struct replies *r, enum return_message type, uint32_t value,
                          struct error *err);
/* What the source is told of an error by SHUT: a number that its strerror() can make sense of. */
uint32_t replies_verdict(const struct error *err);
/* SHUT, with the number that stands for the error; waits for nobody. Any thread, with the group's
 * lock held. */
void replies_refuse(struct replies *r, const struct error *err);
/* Returns when the thread has ended. */
void replies_end(struct replies *r);
