#include "multifd/recv_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ram/page_place.h"

static int receive(struct recv_channel *c, size_t min, unsigned flags, struct error *err)
{
    struct iovec iov = {c->wire + c->have, sizeof(c->wire) - c->have};
    size_t len;

    if (c->have >= min)
        return 0;
    if (channel_recvv(c->channel, &iov, 1, min - c->have, flags, &len, err) < 0)
        return err_in(err, "multifd packet");
    c->have += len;
    return 0;
}

/*
 * Only a channel without pages since its last SYNC can be recalled: if there are such pages, the
 * main stream's end is a failure anyway.
 */
static int receive_prefix(struct recv_channel *c, enum recv_next *ret, struct error *err)
{
    unsigned recall = c->covered_by <= c->syncs ? CHANNEL_RECALL : 0;
    int rc = receive(c, MULTIFD_PREFIX_LEN, c->have == 0 ? CHANNEL_MAY_IDLE | recall : 0, err);

    *ret = c->have > 0 ? RECV_PACKET : RECV_CLOSED;
    if (rc == 0 || err->kind != ERR_SYSTEM || err->sys != ECANCELED)
        return rc;
    *ret = RECV_NOTHING;
    return 0;
}

int recv_channel_next(struct recv_channel *c, enum recv_next *ret, struct error *err)
{
    /* Reads the prefix first: a packet of another kind may be shorter than ours. */
    if (receive_prefix(c, ret, err) < 0)
        return -1;
    if (*ret != RECV_PACKET)
        return 0;
    if (multifd_prefix_check(c->wire, err) < 0 || receive(c, sizeof(c->wire), 0, err) < 0)
        return -1;
    c->have = 0;
    return multifd_packet_decode(c->wire, &c->packet, err);
}

static int find_block(const struct recv_channel *c, const struct ram_map *map,
                      struct ram_block **ret, struct error *err)
{
    struct ram_block *b = ram_map_find(map, c->packet.block);

    if (!b) {
        err_set(err, ERR_PEER, "multifd packet: RAM block '%s' is not in the list",
                c->packet.block);
        return -1;
    }
    *ret = b;
    return 0;
}

/*
 * Checks every offset of the packet with ram_span(). iov[0…] become the room for the normal pages;
 * pages that follow each other are one piece. starts[i] is the offset of iov[i].
 */
static int find_pages(struct recv_channel *c, const struct ram_block *b,
                      uint64_t starts[MULTIFD_PAGES], size_t *ret_n, struct error *err)
{
    const struct multifd_packet *p = &c->packet;
    size_t n_normal = p->n_normal, n_all = n_normal + p->n_zero;
    struct iovec *next = c->iov;
    uint64_t end = 1; /* of the previous page; at first 1, where no page begins */

    for (size_t i = 0; i < n_all; i++) {
        uint64_t offset = p->offsets[i];
        uint8_t *host;

        if (ram_span(b, offset, RAM_PAGE_SIZE, &host, err) < 0)
            return err_in(err, "multifd packet: page %zu", i);
        if (i >= n_normal)
            continue;
        if (offset == end) {
            next[-1].iov_len += RAM_PAGE_SIZE;
        } else {
            uint8_t *buffer = c->pages ? c->pages + i * RAM_PAGE_SIZE : NULL;

            starts[next - c->iov] = offset;
            *next++ = (struct iovec){page_place_room(host, buffer), RAM_PAGE_SIZE};
        }
        end = offset + RAM_PAGE_SIZE;
    }
    *ret_n = (size_t)(next - c->iov);
    return 0;
}

/* Receives the payload into iov[0…n), and the part of the next packet that has come with it. */
static int receive_payload(struct recv_channel *c, size_t n, size_t payload, struct error *err)
{
    size_t len;

    c->iov[n] = (struct iovec){c->wire, sizeof(c->wire)};
    if (channel_recvv(c->channel, c->iov, n + 1, payload, 0, &len, err) < 0)
        return err_in(err, "multifd packet: payload of %zu bytes", payload);
    c->have = len - payload;
    return 0;
}

static int unpack_pages(struct recv_channel *c, const struct iovec *places, size_t n,
                        struct error *err)
{
    enum codec_method method = c->packet.method;
    uint32_t len = c->packet.payload_bytes;

    if (!c->unpacker && codec_unpacking(method)->unpacker_new(&c->unpacker, err) < 0)
        return -1;
    if (len == 0 || len > CODEC_PACKED_MAX)
        return err_set(err, ERR_PEER, "multifd packet: payload of %u bytes, expected 1 to %d", len,
                       CODEC_PACKED_MAX);
    c->iov[0] = (struct iovec){unpacker_input(c->unpacker), len};
    if (receive_payload(c, 1, len, err) < 0)
        return -1;
    uint64_t since = clock_ns();
    if (unpacker_unpack(c->unpacker, len, places, n, err) < 0)
        return err_in(err, "multifd packet: payload of %u bytes by %s", len, codec_name(method));
    atomic_fetch_add_explicit(&c->stats.codec_ns, clock_ns() - since, memory_order_relaxed);
    return 0;
}

/* Receives the packet's normal pages into `places`, which have exactly this size. */
static int bring_pages(struct recv_channel *c, const struct iovec *places, size_t n,
                       struct error *err)
{
    if (c->packet.method != CODEC_NONE)
        return unpack_pages(c, places, n, err);
    memmove(c->iov, places, n * sizeof(places[0])); /* receiving changes them */
    return receive_payload(c, n, c->packet.n_normal * RAM_PAGE_SIZE, err);
}

static int settle_pages(struct recv_channel *c, struct ram_block *b,
                        const uint64_t starts[MULTIFD_PAGES], size_t n, struct error *err)
{
    struct iovec places[MULTIFD_PAGES];

    memcpy(places, c->iov, n * sizeof(places[0]));
    if (bring_pages(c, places, n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (page_place_settle(b, starts[i], places[i].iov_base, places[i].iov_len, err) < 0)
            return -1;
    }
    return 0;
}

static int make_buffer(struct recv_channel *c, const struct ram_block *b, struct error *err)
{
    if (c->pages || !page_place_is_buffered(b))
        return 0;
    c->pages = aligned_alloc(RAM_PAGE_SIZE, MULTIFD_PAYLOAD_MAX); /* aligned: better for disks */
    return c->pages ? 0 : err_sys(err, "memory for a packet's pages");
}

static int zero_pages(struct recv_channel *c, struct ram_block *b, struct error *err)
{
    const struct multifd_packet *p = &c->packet;

    for (size_t i = 0; i < p->n_zero; i++) {
        if (page_place_zero(b, p->offsets[p->n_normal + i], err) < 0)
            return -1;
    }
    return 0;
}

static int refuse_method(enum codec_method method, struct error *err)
{
    char built[64];

    codec_list_built(built, sizeof(built));
    return err_set(err, ERR_PEER, "multifd packet: method %s, expected %s: %s", codec_name(method),
                   built, codec_absence(method));
}

/*
 * If no method was agreed, the first packet with pages on any channel decides it. All other packets
 * must have the same method.
 */
static int check_method(struct recv_channel *c, struct error *err)
{
    enum codec_method method = c->packet.method;
    int agreed = atomic_load_explicit(c->method, memory_order_relaxed);

    if (agreed < 0 && !codec_built(method))
        return refuse_method(method, err);
    if (agreed < 0 && atomic_compare_exchange_strong(c->method, &agreed, (int)method))
        return 0;
    if (agreed != (int)method)
        return err_set(err, ERR_PEER,
                       "multifd packet: method %s, expected %s: set multifd-compression alike on "
                       "both sides",
                       codec_name(method), codec_name((enum codec_method)agreed));
    return 0;
}

int recv_channel_apply(struct recv_channel *c, const struct ram_map *map, struct populate *populate,
                       struct error *err)
{
    const struct multifd_packet *p = &c->packet;
    uint64_t starts[MULTIFD_PAGES];
    struct ram_block *b = NULL;
    size_t n = 0;

    if (check_method(c, err) < 0 || find_block(c, map, &b, err) < 0 || make_buffer(c, b, err) < 0 ||
        find_pages(c, b, starts, &n, err) < 0)
        return -1;
    if (n > 0 && !page_place_is_buffered(b))
        populate_ahead(populate, b, p->offsets[p->n_normal - 1]);
    if (n > 0 && settle_pages(c, b, starts, n, err) < 0)
        return -1;
    atomic_fetch_add_explicit(&c->stats.normal, p->n_normal, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->stats.zero, p->n_zero, memory_order_relaxed);
    return zero_pages(c, b, err);
}
