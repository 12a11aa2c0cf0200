/*
 * multifd/channel_stats.h: what each channel counts, in either direction. Written by the channel's
 * thread, read by any.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct channel_stats {
    _Atomic uint64_t packets, normal, zero; /* normal and zero in pages */
    _Atomic uint64_t wait_ns;               /* for work, or at a barrier */
    _Atomic uint64_t codec_ns;              /* packing or unpacking */
};
