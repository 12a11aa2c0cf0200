/*
 * multifd/file_pool.h: a page_sink that puts every page at its place in a mapped-ram file.
 *
 * Threads claim a round's stripes as in a send_pool, but there is no packet and no peer: a new
 * version of a page overwrites the old one, so that the file has each page once. `written` notes
 * which pages the file has. A page that has become zero is only removed from `written`: its old
 * bytes stay in the file.
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
    _Atomic uint64_t **sums;         /* what they sum up to (ram/checksum.h); NULL: nobody asks */
    struct channel **channels;       /* file_channel_open(), of the group; they become the pool's */
    const struct cpu_places *places; /* where the threads run, in turn; NULL: anywhere */
    size_t n;                        /* 1 … MULTIFD_CHANNELS_MAX */
    bool threads;                    /* one for each channel; false: the thread that asks for a
                                        round writes it, on the only channel */
};

/* Starts the threads. Takes the channels, also when it fails. Errors are as in a send_pool. */
MUST_USE int file_pool_new(const struct file_pool_config *config, struct page_sink **ret,
                           struct error *err);
