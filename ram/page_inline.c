#include "ram/page_inline.h"

#include <stdlib.h>

#include "ram/ram_format.h"
#include "ram/zero_page.h"

struct page_inline {
    struct page_sink base;
    struct stream_out *out;
    struct page_counters *counters;
};

/* The word that starts a page record, and the block's name where it is not the one before. */
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

static void stripe_out(struct page_inline *in, const struct ram_block *b, const struct stripe *s,
                       const uint64_t words[STRIPE_WORDS], const struct ram_block **last)
{
    uint64_t normal = 0, zero = 0;

    for (unsigned w = 0; w < STRIPE_WORDS; w++) {
        for (uint64_t bits = words[w]; bits; bits &= bits - 1) {
            uint64_t page = s->first_page + w * 64 + (unsigned)__builtin_ctzll(bits);
            const uint8_t *bytes = b->host + (page << RAM_PAGE_BITS);

            if ((b->present && !ram_page_present(b, page)) || zero_page(bytes)) {
                zero_out(in->out, b, page, last);
                zero++;
            } else {
                record_out(in->out, b, page, RAM_RECORD_PAGE, last);
                out_borrowed(in->out, bytes, RAM_PAGE_SIZE);
                normal++;
            }
        }
    }
    atomic_fetch_add_explicit(&in->counters->normal, normal, memory_order_relaxed);
    atomic_fetch_add_explicit(&in->counters->zero, zero, memory_order_relaxed);
}

/* On one connection order is kept anyway: `barrier` asks for nothing more. */
static int inline_round(struct page_sink *sink, struct ram_round *round, bool barrier,
                        struct error *err)
{
    struct page_inline *in = (struct page_inline *)sink;
    const struct ram_block *last = NULL;
    struct stripe s;

    (void)barrier;
    while (round && stripe_claim(round, &s)) {
        uint64_t words[STRIPE_WORDS];
        bool any;

        if (stripe_take(round, &s, words, &any, err) < 0)
            return -1;
        if (any)
            stripe_out(in, &round->map->blocks[s.block], &s, words, &last);
        if (in->out->failed)
            break;
    }
    return stream_out_flush(in->out, err);
}

static void inline_free(struct page_sink *sink)
{
    free(sink);
}

static const struct page_sink_ops inline_ops = {.round = inline_round, .free = inline_free};

int page_inline_new(struct stream_out *out, struct page_counters *counters, struct page_sink **ret,
                    struct error *err)
{
    struct page_inline *in = calloc(1, sizeof(*in));

    if (!in)
        return err_sys(err, "memory for a page sink");
    *in = (struct page_inline){.base.ops = &inline_ops, .out = out, .counters = counters};
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
