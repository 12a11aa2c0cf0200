/*
 * migration/return_writer.h: the destination's end of the return path. The thread of the migration
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

struct return_writer {
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
void return_writer_init(struct return_writer *r, struct channel_group *group);
/* After return_writer_end(). */
void return_writer_done(struct return_writer *r);

/* OPEN_RETURN_PATH has come on `main`. ERR_PEER: a second one. */
MUST_USE int return_writer_open(struct return_writer *r, struct channel *main, struct error *err);
bool return_writer_are_open(struct return_writer *r);
/* Says each second that this end is alive, until return_writer_end(). */
MUST_USE int return_writer_keep_alive(struct return_writer *r, struct error *err);
/* Does nothing where the return path is not open, or closed already. SHUT closes it. */
MUST_USE int return_writer_send(struct return_writer *r, enum return_message type, uint32_t value,
                                struct error *err);
/* The number that SHUT gives the source for an error: one that the source's strerror() knows. */
uint32_t return_writer_verdict(const struct error *err);
/* Sends SHUT with the number of the error, without waiting for anything. Any thread, with the
 * group's lock held. */
void return_writer_refuse(struct return_writer *r, const struct error *err);
/* Returns when the thread has ended. */
void return_writer_end(struct return_writer *r);
