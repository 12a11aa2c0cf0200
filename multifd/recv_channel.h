/*
 * multifd/recv_channel.h: one channel of a recv_pool; for the pool only.
 */
#pragma once

#include "multifd/packet.h"
#include "ram/channel_stats.h"
#include "ram/populate.h"
#include "transport/channel.h"

struct recv_channel {
    /* Set before the thread starts, read-only after. */
    struct channel *channel;
    uint8_t id;
    _Atomic int *method; /* of packets with pages, on all channels; -1: none has come */

    /* The thread's alone. */
    uint8_t wire[MULTIFD_PACKET_LEN]; /* the part of the next packet that has come */
    size_t have;                      /* bytes of it */
    struct multifd_packet packet;
    uint64_t highest; /* packet number so far; at a flush, the main thread reads it */
    struct iovec iov[MULTIFD_PAGES + 1];
    struct unpacker *unpacker; /* of the method, made when needed */
    uint8_t *pages; /* MULTIFD_PAYLOAD_MAX bytes, for blocks without memory; made when needed */

    /* Under the group's lock. */
    uint64_t syncs;      /* SYNC packets consumed */
    bool ended;          /* nothing more comes from it */
    uint64_t covered_by; /* the number of the flush that its last pages need; 0: no pages came */
    bool quiet;          /* all that had come before the main stream's end has been read */

    /* Written by the thread, read by any. */
    struct channel_stats stats;
};

enum recv_next {
    RECV_PACKET,  /* its layout is in c->packet */
    RECV_CLOSED,  /* the peer has closed the channel between two packets */
    RECV_NOTHING, /* the channel was recalled, and nothing unread had come before that */
};

/* Waits for the next packet, and reads its layout. */
MUST_USE int recv_channel_next(struct recv_channel *c, enum recv_next *ret, struct error *err);
/* Applies the packet: reads its normal pages to their places, and clears its zero pages. */
MUST_USE int recv_channel_apply(struct recv_channel *c, const struct ram_map *map,
                                struct populate *populate, struct error *err);
