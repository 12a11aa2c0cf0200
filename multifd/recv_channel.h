/*
 * multifd/recv_channel.h: one channel of a recv_pool; for the pool only.
 */
#pragma once

#include "multifd/recv_pool.h"

struct recv_channel {
    /* Set before the thread starts, read-only after. */
    struct channel *channel;
    uint8_t id;
    int pinned; /* the method that packets must have; -1: any */

    /* The thread's alone. */
    uint8_t wire[MULTIFD_PACKET_LEN]; /* the next packet, as far as it has come */
    size_t have;                      /* bytes of it */
    struct multifd_packet packet;
    struct iovec iov[MULTIFD_PAGES + 1];
    struct unpacker *unpacker; /* of the method; NULL: none */
    uint8_t *pages; /* MULTIFD_PAYLOAD_MAX bytes, for blocks without memory; made when needed */

    /* Under the group's lock. */
    uint64_t syncs;   /* SYNC packets consumed */
    bool ended;       /* nothing more comes from it */
    bool outstanding; /* pages were applied since the last SYNC */

    /* Written by the thread, read by any. */
    _Atomic int method; /* enum codec_method of the first packet with pages; -1: none has come */
    struct channel_stats stats;
};

/*
 * Reads the next packet's layout into c->packet. *ret_end: the peer closed instead, in order.
 */
MUST_USE int recv_channel_next(struct recv_channel *c, bool *ret_end, struct error *err);
/* Applies the packet: reads its pages to their places, clears its zero pages. */
MUST_USE int recv_channel_apply(struct recv_channel *c, const struct ram_map *map,
                                struct populate *populate, struct error *err);
