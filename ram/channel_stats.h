/*
 * ram/channel_stats.h: what is counted of pages on their way, in either direction: by each channel,
 * by each writer of a file, or by the main stream's thread. One thread writes it, any thread reads
 * it.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* What its connection counts: one moment of it. */
struct channel_traffic {
    uint64_t bytes;        /* on the wire */
    uint64_t copied_sends; /* that asked for zero-copy in vain */
    int method;            /* enum codec_method; -1: no page has come */
};

struct channel_stats {
    _Atomic uint64_t packets, normal, zero; /* normal and zero in pages */
    _Atomic uint64_t wait_ns;               /* for work, or at a barrier */
    _Atomic uint64_t codec_ns;              /* packing or unpacking */
};
