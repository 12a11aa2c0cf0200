/*
 * multifd/recv_barrier.h: the barrier between the channels of a recv_pool and the main stream, for
 * the pool only. It counts SYNCs and flushes, and knows neither packets nor guest memory.
 */
#pragma once

#include "multifd/recv_channel.h"
#include "transport/channel_group.h"

struct recv_barrier {
    /* Set before the threads start, read-only after. */
    struct channel_group *group;
    uint64_t stall_timeout_ms; /* 0 = no limit */

    /* Under the group's lock. */
    struct recv_channel *channels[MULTIFD_CHANNELS_MAX]; /* by id */
    size_t n;
    bool open;           /* every block has its place: pages may come */
    uint64_t flushes;    /* how many the main stream has reached */
    uint64_t released;   /* channels may go on after their SYNC of this number */
    bool complete;       /* the main stream is; the channels' threads read what has come by now */
    bool over;           /* they have read it, and it had no page */
    uint64_t missing;    /* at the last flush: packets that have not come, by the others' numbers */
    bool close_expected; /* an end without the protocol's close message is a failure */
    const struct channel *main;

    struct cancel recall; /* wakes channels that wait for a packet, once main is complete */
};

MUST_USE int recv_barrier_init(struct recv_barrier *b, struct channel_group *group,
                               uint64_t stall_timeout_ms, struct error *err);
/* The channels are the pool's. */
void recv_barrier_done(struct recv_barrier *b);

/* --- for the thread of channel `c`; *ret_go: it goes on -------------------------------------- */

/*
 * For the first pages since the last SYNC. If they come before the main thread has read the block
 * list, waits for the list. After the main stream's end, refuses them before any reaches guest
 * memory.
 */
MUST_USE int recv_barrier_admit(struct recv_barrier *b, struct recv_channel *c, bool *ret_go,
                                struct error *err);
/* Stops at a SYNC until the main stream has passed the flush of the same number. */
MUST_USE int recv_barrier_stop(struct recv_barrier *b, struct recv_channel *c, bool *ret_go,
                               struct error *err);
/* All that had come before the recall has been read. From now on the thread waits without recall:
 * only the channel's end should come. */
void recv_barrier_quiet(struct recv_barrier *b, struct recv_channel *c);
/* The channel has ended. Waits for the main stream's end; without that the group fails. */
void recv_barrier_end(struct recv_barrier *b, struct recv_channel *c);

/* --- for the thread that reads the main stream: see recv_pool.h ------------------------------ */

MUST_USE int recv_barrier_flush(struct recv_barrier *b, struct error *err);
MUST_USE int recv_barrier_finish(struct recv_barrier *b, struct error *err);
MUST_USE int recv_barrier_check_numbers(struct recv_barrier *b, bool expected, struct error *err);
