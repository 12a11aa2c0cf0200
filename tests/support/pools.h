/*
 * tests/support/pools.h: a send_pool and a recv_pool, connected.
 */
#pragma once

#include <pthread.h>

#include "multifd/recv_pool.h"
#include "multifd/send_pool.h"

#define POOLS_CHANNELS_MAX 16

struct pools_config {
    size_t n;            /* channels */
    unsigned n_expected; /* channels that the receiver expects; 0: as many as connect */
    bool zeros_on_main;
    enum codec_method method;
    int level;
};

struct pools {
    struct channel_group out, in;
    struct ram_map from, to;
    struct ram_round round;
    struct page_sink *sink;
    struct recv_pool *pool;
    struct channel *senders[POOLS_CHANNELS_MAX];
    struct channel *ends[POOLS_CHANNELS_MAX]; /* the receiver's */
    size_t n;
    pthread_t threads[POOLS_CHANNELS_MAX];
};

/* Starts empty; the caller then adds memory to `from`. */
void pools_init(struct pools *p);
/* Makes the receiver's memory, with equal blocks, connects the channels, and sends the hellos. */
void pools_start(struct pools *p, const struct pools_config *config);
/* The receiver reads channel i's hello and serves the channel, on a thread, as a migration does. */
void pools_receive(struct pools *p, size_t i);
/* Restarts and sends a round, then its barrier; NULL: the barrier alone. */
void pools_send(struct pools *p, struct ram_round *round, const char *label);
/* Checks that all went well, and frees everything. */
void pools_finish(struct pools *p, const char *label);
/* Frees the rest, after the sink was freed and the threads were joined. */
void pools_done(struct pools *p);
