/*
 * ram/channel_stats.h: counters of the pages that are sent or received: one set for each channel,
 * for each writer of a file, or for the main stream's thread. One thread writes a set, any thread
 * reads it.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* The connection's own counters, as they are at one moment. */
struct channel_traffic {
    uint64_t bytes;        /* on the wire */
    uint64_t copied_sends; /* sends that asked for zero-copy but were copied */
    int method;            /* enum codec_method; -1: no page has come */
};

struct channel_stats {
    _Atomic uint64_t packets, normal, zero; /* normal and zero in pages */
    _Atomic uint64_t wait_ns;               /* waiting for work, or at a barrier */
    _Atomic uint64_t codec_ns;              /* packing or unpacking */
};
