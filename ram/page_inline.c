#include "ram/page_inline.h"

#include <stdlib.h>

#include "ram/page_walk.h"
#include "ram/ram_format.h"

struct page_inline {
    struct page_sink base;
    struct stream_out *out;
    struct page_walk walk;
    struct channel_stats stats; /* only normal and zero are counted */
};

/* Writes the word that starts a page record, and the block's name if the block has changed. */
static void record_out(struct stream_out *out, const struct ram_block *b, uint64_t page,
                       unsigned flags, const struct ram_block **last)
{
    out_u64(out, page << RAM_PAGE_BITS | flags | (b == *last ? RAM_RECORD_CONTINUE : 0));
    if (b != *last)
        out_name(out, b->name);
    *last = b;
}

static void zero_out(struct stream_out *out, const struct ram_block *b, uint64_t page,
                     const struct ram_block **last)
{
    record_out(out, b, page, RAM_RECORD_ZERO, last);
    out_u8(out, 0);
}

static void page_out(struct stream_out *out, const struct ram_block *b,
                     const struct walked_page *page, const struct ram_block **last)
{
    record_out(out, b, page->page, RAM_RECORD_PAGE, last);
    out_borrowed(out, page->bytes, RAM_PAGE_SIZE);
}

static int walk_round(struct page_inline *in, struct ram_round *round, struct error *err)
{
    const struct ram_block *last = NULL;
    struct stream_out *out = in->out;
    uint64_t normal = 0, zero = 0;
    struct walked_page page;
    int event;

    page_walk_start(&in->walk, round, PAGE_WALK_PIECES);
    while ((event = page_walk_next(&in->walk, &page, err)) > PAGE_WALK_END) {
        if (event == PAGE_WALK_PAGE && page.bytes) {
            page_out(out, in->walk.block, &page, &last);
            normal++;
        } else if (event == PAGE_WALK_PAGE) {
            zero_out(out, in->walk.block, page.page, &last);
            zero++;
        } else {
            /* Counted once for each stripe: counting each page would cost as much as sending a
             * zero page. */
            atomic_fetch_add_explicit(&in->stats.normal, normal, memory_order_relaxed);
            atomic_fetch_add_explicit(&in->stats.zero, zero, memory_order_relaxed);
            normal = zero = 0;
            if (out->failed)
                break;
        }
    }
    return event < 0 ? -1 : 0;
}

/* One connection keeps the order anyway, so `barrier` needs nothing more. */
static int inline_round(struct page_sink *sink, struct ram_round *round, bool barrier,
                        struct error *err)
{
    struct page_inline *in = (struct page_inline *)sink;

    (void)barrier;
    if (round && walk_round(in, round, err) < 0)
        return -1;
    return stream_out_flush(in->out, err);
}

static void inline_free(struct page_sink *sink)
{
    struct page_inline *in = (struct page_inline *)sink;

    if (!in)
        return;
    page_walk_done(&in->walk);
    free(in);
}

/* The main stream counts the bytes, so they are 0 here. */
static const struct channel_stats *inline_stats(const struct page_sink *sink, size_t i,
                                                struct channel_traffic *ret)
{
    (void)i;
    *ret = (struct channel_traffic){.method = -1};
    return &((const struct page_inline *)sink)->stats;
}

static const struct page_sink_ops inline_ops = {
    .round = inline_round, .stats = inline_stats, .free = inline_free};

int page_inline_new(struct stream_out *out, struct page_sink **ret, struct error *err)
{
    struct page_inline *in = calloc(1, sizeof(*in));

    if (!in)
        return err_sys(err, "memory for a page sink");
    in->base.ops = &inline_ops;
    in->out = out;
    *ret = &in->base;
    return 0;
}

void page_inline_zeros(struct stream_out *out, const struct ram_map *map,
                       struct dirty_bitmap *zeros)
{
    const struct ram_block *last = NULL;

    for (size_t i = 0; i < map->n && !out->failed; i++) {
        for (uint64_t w = 0; w < dirty_bitmap_words(&zeros[i]); w++) {
            for (uint64_t bits = dirty_bitmap_take(&zeros[i], w); bits; bits &= bits - 1)
                zero_out(out, &map->blocks[i], w * 64 + (unsigned)__builtin_ctzll(bits), &last);
        }
    }
}
