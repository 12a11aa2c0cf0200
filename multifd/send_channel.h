/*
 * multifd/send_channel.h: one channel of a send_pool; for the pool only.
 */
#pragma once

#include "multifd/packet.h"
#include "ram/channel_stats.h"
#include "ram/page_walk.h"
#include "transport/channel.h"

struct send_channel {
    /* Set before the thread starts, read-only after. */
    struct channel *channel;
    struct packer *packer; /* NULL: method none */
    bool zeros_on_main;
    _Atomic uint64_t *packet_number; /* one counter over all channels */

    /* The thread's alone. */
    bool offered; /* the channel has been told where the guest's memory is */
    struct page_walk walk;
    const struct ram_block *block;     /* of the pages collected */
    bool from_file;                    /* its pages do not change; they are sent from its file */
    struct dirty_bitmap *zeros_bitmap; /* where its zero pages are noted; NULL: in the packet */
    struct multifd_packet packet;  /* normal pages are collected at the front of its offsets … */
    uint64_t zeros[MULTIFD_PAGES]; /* … and zero pages here, until the packet is sent */
    const uint8_t *pages[MULTIFD_PAGES]; /* where the normal pages are */
    uint8_t wire[MULTIFD_PACKET_LEN];
    struct iovec iov[1 + MULTIFD_PAGES];

    /* Written by the thread, read by any. */
    struct channel_stats stats;
};

/* Claims stripes of the round until none is left, and sends their dirty pages. */
MUST_USE int send_channel_round(struct send_channel *c, struct ram_round *round, struct error *err);
MUST_USE int send_channel_sync(struct send_channel *c, struct error *err);
