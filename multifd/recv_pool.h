/*
 * multifd/recv_pool.h: N receiving channels that fill guest memory, and the barrier between them
 * and the main stream.
 *
 * A channel joins as soon as its hello has been read, and is served by the thread that read it. A
 * channel that has consumed its k-th SYNC goes on when the main stream has passed its k-th flush;
 * the main stream passes it when every channel has consumed k SYNCs. Each side only counts, so a
 * channel that joins late is kept in order like the others.
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
    unsigned n_expected;             /* agreed number of channels; 0: as many as connect */
    const struct cpu_places *places; /* where they run, in turn; NULL: anywhere */
    int method;                      /* enum codec_method that was agreed; -1: as the packets say */
    uint64_t join_timeout_ms;        /* for all channels to join; 0 = no limit */
    uint64_t stall_timeout_ms;       /* for a channel's silence while data is due; 0 = no limit */
};

MUST_USE int recv_pool_new(const struct recv_pool_config *config, struct recv_pool **ret,
                           struct error *err);
/* Frees the channels too. All threads in recv_pool_serve() must have been joined. NULL is fine. */
void recv_pool_free(struct recv_pool *pool);

/* Adds a channel whose hello was read. Takes it, also when it fails. Any thread. */
MUST_USE int recv_pool_join(struct recv_pool *pool, struct channel *c,
                            const struct multifd_hello *hello, struct recv_channel **ret,
                            struct error *err);
/*
 * Serves a channel that has joined, to its end, on the calling thread. Errors go to the group.
 * Never called by the thread that reads the main stream.
 */
void recv_pool_serve(struct recv_pool *pool, struct recv_channel *c);

/* Sets the main channel: it tells whether a channel that was closed early means the end or a
 * failure. */
void recv_pool_set_main(struct recv_pool *pool, const struct channel *main);
/* The block list is known and every block has its place: pages may come. */
void recv_pool_open(struct recv_pool *pool, const struct ram_map *map, struct populate *populate);
/* The source will close each channel as its protocol asks: a channel that is cut is a failure. */
void recv_pool_expect_close(struct recv_pool *pool);

/*
 * Waits until the ids that have joined have no gap and are as many as were expected, with `some` at
 * least one. Fails at once when *left is true: the source connects no more. Code that sets *left
 * holds the group's lock and broadcasts. `left` NULL: this is not known.
 */
MUST_USE int recv_pool_complete(struct recv_pool *pool, bool some, const bool *left,
                                struct error *err);
/* With the group's lock held: a number of channels was agreed, and all of them have joined. */
bool recv_pool_is_full(const struct recv_pool *pool);
/* With the group's lock held: some channels have joined, and all of them have ended. */
bool recv_pool_is_abandoned(const struct recv_pool *pool);

/*
 * A flush of the main stream: waits until every page that was sent before it, on any channel, is in
 * place, and lets the channels go on. Fails within the stall timeout if a SYNC does not come.
 */
MUST_USE int recv_pool_flush(struct recv_pool *pool, struct error *err);

/*
 * The main stream is complete. From here on no channel writes guest memory. Fails if a page has
 * come after the last flush: reads all that the kernel has received on the channels by now, and
 * waits for the rest of a packet that has begun.
 */
MUST_USE int recv_pool_finish(struct recv_pool *pool, struct error *err);
/*
 * Fails if, at the last flush, the packets' numbers showed that some packets came on no channel; or
 * if channels are `expected` but there is none.
 */
MUST_USE int recv_pool_check_numbers(struct recv_pool *pool, bool expected, struct error *err);
/* How many channels have joined; *ret_uuid is theirs if there is one. Any thread. */
size_t recv_pool_channels(struct recv_pool *pool, struct uuid *ret_uuid);
/* Counters of channel id `i`; NULL: it has not joined. Any thread. */
const struct channel_stats *recv_pool_stats(struct recv_pool *pool, size_t i,
                                            struct channel_traffic *ret);
