/*
 * ram/page_sink.h: where a round's stripes go. One of them is chosen at the start; from then on
 * nobody asks how pages travel.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "ram/channel_stats.h"
#include "ram/stripe.h"

struct page_sink;

struct page_sink_ops {
    /*
     * Sends every dirty page of the round's stripes, and where `barrier` is set makes sure that
     * nothing sent later can overtake it. Returns when all is written. `round` may be NULL: the
     * barrier alone. Called by the thread that writes the main stream.
     */
    int (*round)(struct page_sink *sink, struct ram_round *round, bool barrier, struct error *err);
    /* All is sent and well: ends the sink's own connections in order, and waits so long for the
     * peer to do the same. NULL: it has none. */
    int (*finish)(struct page_sink *sink, uint64_t patience_ms, struct error *err);
    /*
     * What channel `i` has counted; without channels, i being 0, what the main stream's thread has
     * counted of pages. *ret is of connections and files beside the main stream's. Any thread.
     */
    const struct channel_stats *(*stats)(const struct page_sink *sink, size_t i,
                                         struct channel_traffic *ret);
    void (*free)(struct page_sink *sink);
};

struct page_sink {
    const struct page_sink_ops *ops;
    /* Channels, or writers of a file, with a thread each. 0: the main stream's thread moves the
     * pages. Set when it is made, read-only after. */
    size_t n_channels;
    /* Barriers before which a send was copied that asked for zero-copy. Any thread reads it. */
    _Atomic uint64_t missed_zero_copy;
};
