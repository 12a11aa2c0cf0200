/*
 * multifd/recv_pool.h: N receiving channels that fill guest memory, and the barrier between them
 * and the main stream.
 *
 * Channels join whenever their hello has been read; each runs on the thread that read it. A
 * channel that consumed its k-th SYNC goes on when the main stream has reached its k-th flush, and
 * that waits until every channel has consumed k of them. Counting, not meeting: a channel that
 * joins late is ordered like the others.
 */
#pragma once

#include "base/cpus.h"
#include "multifd/packet.h"
#include "ram/channel_stats.h"
#include "ram/populate.h"
#include "transport/channel_group.h"

struct recv_pool;
struct recv_channel;

struct recv_pool_config {
    struct channel_group *group;
    unsigned n_expected;             /* channels that were agreed; 0: read off the connections */
    const struct cpu_places *places; /* where they run, by turns; NULL: anywhere */
    int method;                /* enum codec_method that was agreed; -1: read off the packets */
    uint64_t join_timeout_ms;  /* for channels to be complete; 0 = no limit */
    uint64_t stall_timeout_ms; /* for a channel's silence where it must not be; 0 = no limit */
};

MUST_USE int recv_pool_new(const struct recv_pool_config *config, struct recv_pool **ret,
                           struct error *err);
/* All threads in recv_pool_serve() must have been joined. Frees the channels. NULL is fine. */
void recv_pool_free(struct recv_pool *pool);

/* Adds a channel whose hello was read. Takes it, also when it fails. Any thread. */
MUST_USE int recv_pool_join(struct recv_pool *pool, struct channel *c,
                            const struct multifd_hello *hello, struct recv_channel **ret,
                            struct error *err);
/*
 * Serves a channel that has joined on the calling thread, to its end. Errors go to the group.
 * Never called by the thread that reads the main stream.
 */
void recv_pool_serve(struct recv_pool *pool, struct recv_channel *c);

/* The main channel, by which a channel that was closed early tells an end from a failure. */
void recv_pool_set_main(struct recv_pool *pool, const struct channel *main);
/* The block list is known and every block has its place: pages may come. */
void recv_pool_open(struct recv_pool *pool, const struct ram_map *map, struct populate *populate);
/* The source ends each channel by its protocol's goodbye, where that has one: being cut is failure.
 */
void recv_pool_expect_goodbyes(struct recv_pool *pool);

/*
 * Waits until the ids that have joined have no gap, and are as many as were expected; `some`: and
 * there is at least one. Fails at once when *left, under the group's lock and with a broadcast: the
 * source connects no more. NULL: nobody knows.
 */
MUST_USE int recv_pool_complete(struct recv_pool *pool, bool some, const bool *left,
                                struct error *err);
/* With the group's lock held: all channels that were agreed have joined. */
bool recv_pool_is_full(const struct recv_pool *pool);
/* The same: some have joined, and every one of them has been closed since. */
bool recv_pool_is_abandoned(const struct recv_pool *pool);

/*
 * A flush of the main stream: returns when every page that was sent before it, on any channel, is
 * in place, and lets the channels go on. Fails within the stall timeout where a SYNC never comes.
 */
MUST_USE int recv_pool_flush(struct recv_pool *pool, struct error *err);

/*
 * The main stream is complete. From here on no channel writes guest memory. Fails if a page has
 * come after the last flush: all that the kernel has received on the channels by now is looked at,
 * and the rest of a packet that has begun is waited for.
 */
MUST_USE int recv_pool_finish(struct recv_pool *pool, struct error *err);
/*
 * Fails if, at the last flush, the packets' numbers spoke of some that came on no channel; or if
 * there is no channel though some are `expected`.
 */
MUST_USE int recv_pool_check_numbers(struct recv_pool *pool, bool expected, struct error *err);
/* How many have joined; their UUID, once there is one. Any thread. */
size_t recv_pool_channels(struct recv_pool *pool, struct uuid *ret_uuid);
/* Counters of channel id `i`, NULL where it has not joined. Any thread. */
const struct channel_stats *recv_pool_stats(struct recv_pool *pool, size_t i,
                                            struct channel_traffic *ret);
