#include "ram/page_walk.h"

#include <string.h>

void page_walk_start(struct page_walk *w, struct ram_round *round, unsigned flags)
{
    w->round = round;
    w->flags = flags;
    w->stable = !round->source;
    w->block = NULL;
    w->bits = 0;
    w->next = STRIPE_WORDS;
    w->cut = false;
    w->is_summed = false;
}

void page_walk_done(struct page_walk *w)
{
    page_reader_done(&w->reader);
}

/* Claims the next stripe that has a dirty page; *ret_end: there is none. */
static int claim(struct page_walk *w, bool *ret_end, struct error *err)
{
    bool any = false;

    while (!any) {
        *ret_end = !stripe_claim(w->round, &w->stripe);
        if (*ret_end)
            return 0;
        if (stripe_take(w->round, &w->stripe, w->words, &any, err) < 0)
            return -1;
    }
    w->next = 0;
    w->cut = w->flags & PAGE_WALK_PIECES;
    return 0;
}

static void enter_block(struct page_walk *w, const struct ram_block *b)
{
    w->block = b;
    w->is_read = w->flags & PAGE_WALK_READS && w->stable && b->fd >= 0;
    w->lent = false;
    page_reader_clear(&w->reader);
}

/* Whether the stripe's checksum can be told: nothing writes its pages, and all that the file has of
 * them come. */
static bool is_whole(const struct page_walk *w, const struct ram_block *b)
{
    uint64_t at = w->stripe.first_page / 64, n = (w->stripe.n_pages + 63) / 64;

    if (!w->stable || !b->checksums || !b->present)
        return false;
    for (uint64_t i = 0; i < n; i++) {
        if (w->words[i] != atomic_load_explicit(&b->present[at + i], memory_order_relaxed))
            return false;
    }
    return true;
}

static void begin_sums(struct page_walk *w, const struct ram_block *b)
{
    w->is_summed = is_whole(w, b);
    if (w->is_summed)
        memset(w->sums, 0, sizeof(w->sums));
}

static int end_sums(struct page_walk *w, struct error *err)
{
    if (!w->is_summed)
        return 0;
    w->is_summed = false;
    return checksum_expect(w->block, w->stripe.first_page, w->sums, w->stripe.n_pages, err);
}

/* PAGE_WALK_PAGE: a stripe was claimed, and no cut is due before it. */
static int next_stripe(struct page_walk *w, struct error *err)
{
    bool end;

    if (end_sums(w, err) < 0)
        return -1;
    if (w->cut) {
        w->cut = false;
        return PAGE_WALK_CUT;
    }
    if (claim(w, &end, err) < 0)
        return -1;
    if (end)
        return PAGE_WALK_END;
    const struct ram_block *b = &w->round->map->blocks[w->stripe.block];
    begin_sums(w, b);
    if (w->block == b)
        return PAGE_WALK_PAGE;
    enter_block(w, b);
    return PAGE_WALK_CUT;
}

int page_walk_advance(struct page_walk *w, struct error *err)
{
    for (;;) {
        while (w->next < STRIPE_WORDS) {
            w->bits = w->words[w->next];
            w->first = w->stripe.first_page + w->next * 64;
            w->next++;
            if (w->bits)
                return PAGE_WALK_PAGE;
        }
        int event = next_stripe(w, err);
        if (event != PAGE_WALK_PAGE)
            return event;
    }
}

/* Reads a page, together with the dirty pages that follow it directly. */
int page_walk_read(struct page_walk *w, uint64_t page, struct error *err)
{
    struct page_reader *r = &w->reader;

    if (page_reader_room(r) == 0 || (w->flags & PAGE_WALK_PIECES && r->used > 0)) {
        page_reader_clear(r);
        w->lent = false;
        w->bits |= UINT64_C(1) << page % 64; /* the page comes again after the cut */
        return PAGE_WALK_CUT;
    }
    if (!w->lent) /* the sink needs nothing that is in the buffer */
        page_reader_clear(r);
    size_t n = stripe_run_length(&w->stripe, w->words, w->block, page, page_reader_room(r));
    return page_reader_read(r, w->block, page, n, err) < 0 ? -1 : PAGE_WALK_PAGE;
}
