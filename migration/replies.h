/*
 * migration/replies.h: the destination's end of the return path. The thread of the migration
 * answers. The thread in which the first failure occurs tells the source of it. A thread of this
 * file says each second that this end is alive, if the source knows that message.
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

    /* Used only by the thread that runs the migration. */
    struct thread thread;

    bool ending; /* under the group's lock */

    pthread_mutex_t lock; /* one message at a time; guards also: */
    struct channel *main; /* NULL: the return path is not open */
    bool closed;          /* the last message was sent */
};

/* The group must outlive it. */
void replies_init(struct replies *r, struct channel_group *group);
/* After replies_end(). */
void replies_done(struct replies *r);

/* OPEN_RETURN_PATH has come on `main`. ERR_PEER: a second one. */
MUST_USE int replies_open(struct replies *r, struct channel *main, struct error *err);
bool replies_are_open(struct replies *r);
/* Says each second that this end is alive, until replies_end(). */
MUST_USE int replies_keep_alive(struct replies *r, struct error *err);
/* Does nothing where the return path is not open, or closed already. SHUT closes it. */
MUST_USE int replies_send(struct replies *r, enum return_message type, uint32_t value,
                          struct error *err);
/* The number that SHUT gives the source for an error: one that the source's strerror() knows. */
uint32_t replies_verdict(const struct error *err);
/* Sends SHUT with the number of the error, without waiting for anything. Any thread, with the
 * group's lock held. */
void replies_refuse(struct replies *r, const struct error *err);
/* Returns when the thread has ended. */
void replies_end(struct replies *r);
