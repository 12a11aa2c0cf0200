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
    uint64_t syncs;      /* SYNC packets consumed */
    bool ended;          /* nothing more comes from it */
    uint64_t covered_by; /* the number of the flush that its last pages need; 0: none came */
    bool quiet;          /* what had come before the main stream's end is read */

    /* Written by the thread, read by any. */
    struct channel_stats stats;
};

enum recv_next {
    RECV_PACKET,  /* its layout is in c->packet */
    RECV_CLOSED,  /* by the peer, in order */
    RECV_NOTHING, /* the channel was recalled, and nothing had come before that */
};

/* Waits for the next packet, and reads its layout. */
MUST_USE int recv_channel_next(struct recv_channel *c, enum recv_next *ret, struct error *err);
/* Applies the packet: reads its pages to their places, clears its zero pages. */
MUST_USE int recv_channel_apply(struct recv_channel *c, const struct ram_map *map,
                                struct populate *populate, struct error *err);
