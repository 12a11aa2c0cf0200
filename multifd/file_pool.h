/*
 * multifd/file_pool.h: a page_sink that puts every page at its place in a mapped-ram file.
 *
 * Rounds are claimed as by a send_pool, but there is no packet and no peer: what a page was before
 * is written over, so that the file has each page once. Which pages it has is noted; a page that
 * has become zero is only noted, and its old bytes stay.
 */
#pragma once

#include "base/cpus.h"
#include "ram/page_sink.h"
#include "ram/ram_list.h"
#include "transport/channel_group.h"

struct file_pool_config {
    struct channel_group *group;
    /* One per block of the rounds' map; they outlive the sink, as the map does. */
    const struct mapped_ram *mapped; /* where its pages go */
    struct dirty_bitmap *written;    /* which of them the file has */
    struct channel **channels;       /* file_channel_open(), of the group; they become the pool's */
    const struct cpu_places *places; /* where the threads run, by turns; NULL: anywhere */
    size_t n;                        /* 1 … MULTIFD_CHANNELS_MAX */
    bool threads;                    /* one for each channel; without, whoever asks for a round
                                        writes it, on the one channel */
};

/* Starts the threads. Takes the channels, also when it fails; fails as a send_pool does. */
MUST_USE int file_pool_new(const struct file_pool_config *config, struct page_sink **ret,
                           struct error *err);
