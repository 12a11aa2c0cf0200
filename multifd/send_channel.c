#include "multifd/send_channel.h"

#include <string.h>

#include "base/clock.h"

/* Up to this many pieces of a packet, a call for each is cheaper than one call that copies them. */
#define FILE_PIECES_MAX 16

#define OFFERED_MAX 64 /* blocks; a machine's large blocks come first */

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* iov[1…] become the places of the normal pages; pages that follow each other in memory are one
 * piece. Returns how many pieces. */
static size_t gather_pages(struct send_channel *c)
{
    struct iovec *last = &c->iov[0];

    for (size_t i = 0; i < c->packet.n_normal; i++) {
        uint8_t *page = UNQUALIFIED(c->pages[i]);

        if (last != &c->iov[0] && (uint8_t *)last->iov_base + last->iov_len == page)
            last->iov_len += RAM_PAGE_SIZE;
        else
            *++last = (struct iovec){page, RAM_PAGE_SIZE};
    }
    return (size_t)(last - c->iov);
}

/* The end of the piece of the file that begins with normal page `i`. */
static size_t piece_end(const uint64_t *offsets, size_t i, size_t n_normal)
{
    do
        i++;
    while (i < n_normal && offsets[i] == offsets[i - 1] + RAM_PAGE_SIZE);
    return i;
}

static bool lie_together(const uint64_t *offsets, size_t n_normal)
{
    size_t pieces = 0;

    for (size_t i = 0; i < n_normal; i = piece_end(offsets, i, n_normal))
        pieces++;
    return pieces <= FILE_PIECES_MAX;
}

/*
 * Sends the page cache's own pages without the copy, which is most of what sending costs. It takes
 * a call for each piece, so it is only for pages that form few pieces.
 */
static int send_from_file(struct send_channel *c, size_t n_normal, struct error *err)
{
    const uint64_t *offsets = c->packet.offsets;

    channel_reserve(c->channel, sizeof(c->wire) + n_normal * RAM_PAGE_SIZE);
    if (channel_sendv(c->channel, c->iov, 1, CHANNEL_MORE, err) < 0)
        return -1;
    for (size_t i = 0, end; i < n_normal; i = end) {
        end = piece_end(offsets, i, n_normal);
        if (channel_send_file(c->channel, c->block->fd, c->block->fd_offset + offsets[i],
                              (end - i) * RAM_PAGE_SIZE, err) < 0)
            return -1;
    }
    return 0;
}

/* The pages are copied first: the guest may write a page while it is packed. */
static int pack_pages(struct send_channel *c, size_t n_pieces, struct error *err)
{
    uint64_t since = clock_ns();
    uint8_t *to = packer_input(c->packer);
    const uint8_t *packed;
    size_t len;

    for (size_t i = 1; i <= n_pieces; i++) {
        memcpy(to, c->iov[i].iov_base, c->iov[i].iov_len);
        to += c->iov[i].iov_len;
    }
    if (packer_pack(c->packer, c->packet.n_normal * RAM_PAGE_SIZE, &packed, &len, err) < 0)
        return -1;
    c->iov[1] = (struct iovec){UNQUALIFIED(packed), len};
    c->packet.payload_bytes = (uint32_t)len;
    count(&c->stats.codec_ns, clock_ns() - since);
    return 0;
}

/* iov[1…] become the packet's payload, of *ret_n pieces. */
static int make_payload(struct send_channel *c, size_t *ret_n, struct error *err)
{
    size_t n = gather_pages(c);

    c->packet.payload_bytes = c->packet.n_normal * RAM_PAGE_SIZE;
    *ret_n = n;
    if (!c->packer || n == 0)
        return 0;
    *ret_n = 1;
    return pack_pages(c, n, err);
}

static void encode_packet(struct send_channel *c)
{
    struct multifd_packet *p = &c->packet;

    p->number = atomic_fetch_add_explicit(c->packet_number, 1, memory_order_relaxed);
    memcpy(p->offsets + p->n_normal, c->zeros, p->n_zero * sizeof(*c->zeros));
    multifd_packet_encode(p, c->wire);
    c->iov[0] = (struct iovec){c->wire, sizeof(c->wire)};
    count(&c->stats.packets, 1);
    count(&c->stats.normal, p->n_normal);
    count(&c->stats.zero, p->n_zero);
    p->n_normal = p->n_zero = 0;
}

/* The header in iov[0] is soon overwritten: only the pages can be borrowed. */
static int send_borrowed(struct send_channel *c, size_t n_pieces, struct error *err)
{
    channel_reserve(c->channel, iov_total(c->iov, 1 + n_pieces));
    if (channel_sendv(c->channel, c->iov, 1, CHANNEL_MORE, err) < 0)
        return -1;
    return channel_sendv(c->channel, c->iov + 1, n_pieces, CHANNEL_BORROW, err);
}

static int send_packet(struct send_channel *c, struct error *err)
{
    size_t n, n_normal = c->packet.n_normal;

    page_walk_release(&c->walk); /* its pages are sent before the walk goes on */
    if (make_payload(c, &n, err) < 0)
        return -1;
    encode_packet(c);
    if (n > 0 && c->channel->borrows)
        return send_borrowed(c, n, err);
    if (n > 0 && c->from_file && lie_together(c->packet.offsets, n_normal))
        return send_from_file(c, n_normal, err);
    return channel_sendv(c->channel, c->iov, 1 + n, 0, err);
}

static int send_collected(struct send_channel *c, struct error *err)
{
    if (c->packet.n_normal + c->packet.n_zero == 0)
        return 0;
    return send_packet(c, err);
}

/*
 * True for pages that go to another host uncompressed. On the same host the receiver would copy
 * them out of the page cache page by page, after the sender has read them for the zero check: for
 * both that costs more than one more copy that is still in the CPU's cache when it is read.
 */
static bool goes_from_file(const struct send_channel *c)
{
    return c->walk.stable && c->block->fd >= 0 && !c->packer && !c->channel->local &&
           channel_sends_files(c->channel);
}

/* Sends what is collected, and prepares the packet for the walk's block. */
static int begin_packet(struct send_channel *c, struct ram_round *round, struct error *err)
{
    if (send_collected(c, err) < 0)
        return -1;
    if (c->block == c->walk.block)
        return 0;
    c->block = c->walk.block;
    c->from_file = goes_from_file(c);
    c->zeros_bitmap = c->zeros_on_main ? &round->zeros[c->walk.stripe.block] : NULL;
    memset(c->packet.block, 0, sizeof(c->packet.block));
    strcpy(c->packet.block, c->block->name);
    return 0;
}

/* Adds the walk's page to the packet, and sends the packet when it is full. */
static int collect(struct send_channel *c, const struct walked_page *page, struct error *err)
{
    uint64_t offset = page->page << RAM_PAGE_BITS;

    if (page->bytes) {
        c->pages[c->packet.n_normal] = page->bytes;
        c->packet.offsets[c->packet.n_normal++] = offset;
    } else if (c->zeros_bitmap) {
        dirty_bitmap_set(c->zeros_bitmap, page->page);
        count(&c->stats.zero, 1);
        return 0;
    } else {
        c->zeros[c->packet.n_zero++] = offset;
    }
    return c->packet.n_normal + c->packet.n_zero == MULTIFD_PAGES ? send_packet(c, err) : 0;
}

/* Only helps: memory that is not offered can be sent as well. */
static void offer_memory(struct send_channel *c, const struct ram_map *map)
{
    struct iovec pieces[OFFERED_MAX];
    size_t n = 0;

    for (size_t i = 0; i < map->n && n < OFFERED_MAX; i++) {
        if (map->blocks[i].host)
            pieces[n++] = (struct iovec){map->blocks[i].host, map->blocks[i].used_bytes};
    }
    channel_offer_memory(c->channel, pieces, n);
    c->offered = true;
}

int send_channel_round(struct send_channel *c, struct ram_round *round, struct error *err)
{
    /* The kernel may read borrowed pages later: they must not be in a buffer that is soon refilled.
     */
    unsigned flags = c->channel->borrows ? 0 : PAGE_WALK_READS;
    struct walked_page page;
    int event, rc;

    if (!c->offered)
        offer_memory(c, round->map);
    page_walk_start(&c->walk, round, flags);
    c->block = NULL;
    while ((event = page_walk_next(&c->walk, &page, err)) > PAGE_WALK_END) {
        rc = event == PAGE_WALK_PAGE ? collect(c, &page, err) : begin_packet(c, round, err);
        if (rc < 0)
            return -1;
    }
    return event < 0 ? -1 : send_collected(c, err);
}

int send_channel_sync(struct send_channel *c, struct error *err)
{
    c->packet.sync = true;
    int rc = send_packet(c, err);
    c->packet.sync = false;
    if (rc < 0)
        return -1;
    return channel_drain(c->channel, err);
}
