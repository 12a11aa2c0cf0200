/*
 * ram/page_sink.h: a way to send a round's pages. One sink is chosen at the start; from then on no
 * caller needs to know how pages travel.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "ram/channel_stats.h"
#include "ram/stripe.h"

struct page_sink;

struct page_sink_ops {
    /*
     * Sends every dirty page of the round. With `barrier`, nothing that is sent later can overtake
     * these pages. Returns when all is written. `round` may be NULL: the barrier alone. Called by
     * the thread that writes the main stream.
     */
    int (*round)(struct page_sink *sink, struct ram_round *round, bool barrier, struct error *err);
    /* Called when all is sent: closes the sink's own connections properly, and waits at most
     * `patience_ms` for the peer to do the same. NULL: it has no connections. */
    int (*finish)(struct page_sink *sink, uint64_t patience_ms, struct error *err);
    /*
     * The counters of channel `i`; without channels `i` is 0, and they are those of the main
     * stream's thread. *ret does not count the main stream's own connection or file. Any thread.
     */
    const struct channel_stats *(*stats)(const struct page_sink *sink, size_t i,
                                         struct channel_traffic *ret);
    void (*free)(struct page_sink *sink);
};

struct page_sink {
    const struct page_sink_ops *ops;
    /* Channels, or writers of a file, with a thread each. 0: the main stream's thread moves the
     * pages. Set when the sink is created, read-only after. */
    size_t n_channels;
    /* How many barriers followed a send that asked for zero-copy but was copied. Any thread reads
     * it. */
    _Atomic uint64_t missed_zero_copy;
};
