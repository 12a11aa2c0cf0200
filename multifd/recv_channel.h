/*
 * multifd/recv_channel.h: one channel of a recv_pool; for the pool only.
 */
#pragma once

#include "multifd/recv_pool.h"

struct recv_channel {
    /* Set before the thread starts, read-only after. */
    struct channel *channel;
    uint8_t id;
    _Atomic int *method; /* one for all channels: what packets with pages have; -1: none has come */

    /* The thread's alone. */
    uint8_t wire[MULTIFD_PACKET_LEN]; /* the next packet, as far as it has come */
    size_t have;                      /* bytes of it */
    struct multifd_packet packet;
    uint64_t highest; /* number of a packet; others read it at a flush */
    struct iovec iov[MULTIFD_PAGES + 1];
    struct unpacker *unpacker; /* of the method, made when needed */
    uint8_t *pages; /* MULTIFD_PAYLOAD_MAX bytes, for blocks without memory; made when needed */

    /* Under the group's lock. */
    uint64_t syncs;   /* SYNC packets consumed */
    bool ended;       /* nothing more comes from it */
    bool outstanding; /* pages were applied since the last SYNC */

    /* Written by the thread, read by any. */
    struct channel_stats stats;
};

/*
 * Reads the next packet's layout into c->packet. *ret_end: the peer closed instead, in order.
 */
MUST_USE int recv_channel_next(struct recv_channel *c, bool *ret_end, struct error *err);
/* Applies the packet: reads its pages to their places, clears its zero pages. */
MUST_USE int recv_channel_apply(struct recv_channel *c, const struct ram_map *map,
                                struct populate *populate, struct error *err);
