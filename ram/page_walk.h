/*
 * ram/page_walk.h: the one loop over a round's dirty pages. Every sink uses it; a sink with several
 * threads has a walk for each, and together they claim the round's stripes.
 *
 * It knows which page is next, where its bytes are, and whether they are all zero. The sink decides
 * what to do with a page. One thread for each walk.
 */
#pragma once

#include "ram/checksum.h"
#include "ram/page_reader.h"
#include "ram/stripe.h"
#include "ram/zero_page.h"

#define PAGE_WALK_PREFETCH 4 /* pages */

/* What page_walk_next() has found. */
enum page_walk_event {
    PAGE_WALK_END, /* no stripe is left */
    PAGE_WALK_PAGE,
    /*
     * The sink must now send or write the pages that it has collected: their bytes are still valid,
     * but not after the next call. A cut comes before the first page of each block, with `block`
     * set; when the buffer for pages of a file is full; and where PAGE_WALK_PIECES asks for one.
     */
    PAGE_WALK_CUT,
};

/* What a sink asks of its walk. */
enum page_walk_flags {
    /* Pages of a file that does not change are read into a buffer, not accessed as mapped. */
    PAGE_WALK_READS = 1,
    /* A cut after each stripe, and before each run of pages that is read into the buffer. */
    PAGE_WALK_PIECES = 2,
};

struct walked_page {
    uint64_t page;        /* number in the walk's block */
    const uint8_t *bytes; /* NULL: all of it is zero */
};

struct page_walk {
    /* For the sink: true of all pages from the latest cut to the next. */
    const struct ram_block *block;
    bool stable; /* nothing writes them: their bytes will be the same when they are sent */
    /* The stripe of the page, or after a cut of the next page. */
    struct stripe stripe;

    /* The walk's own. */
    uint64_t bits;  /* the dirty pages of the present word that are still to come */
    uint64_t first; /* the number in the block of the page of bit 0 */
    bool is_read;   /* the block's pages are read into the reader's buffer */
    bool lent;      /* the sink has bytes in that buffer */
    bool cut;       /* a cut is due after the present stripe */
    bool is_summed; /* all pages of the present stripe come, and its checksum is known */
    unsigned flags; /* enum page_walk_flags */
    unsigned next;  /* the next word of the stripe */
    struct ram_round *round;
    uint64_t words[STRIPE_WORDS];
    struct page_reader reader;
    uint64_t sums[STRIPE_PAGES]; /* of the pages of the stripe that have come */
};

/* Starts the next round, with any stripe that is not claimed yet. `w` must be zeroed before its
 * first round. */
void page_walk_start(struct page_walk *w, struct ram_round *round, unsigned flags);
void page_walk_done(struct page_walk *w);

/* The sink no longer needs any bytes that it was given, and says so before a cut: the buffer can be
 * used again early. */
static inline void page_walk_release(struct page_walk *w)
{
    w->lent = false;
}

/* In page_walk.c, for page_walk_next() only: finds the next word with a dirty page; reads a page of
 * a file. */
MUST_USE int page_walk_advance(struct page_walk *w, struct error *err);
MUST_USE int page_walk_read(struct page_walk *w, uint64_t page, struct error *err);

static inline void page_walk_sum(struct page_walk *w, uint64_t page, const uint8_t *bytes)
{
    if (w->is_summed)
        w->sums[page - w->stripe.first_page] = checksum_page(bytes);
}

/*
 * Returns an event, or -1. A stripe is re-armed in the dirty source before the first of its pages
 * is returned. ERR_PEER: a file's pages are not what its checksums say; they were returned already.
 * Inline, because it is called for each page.
 */
MUST_USE static inline int page_walk_next(struct page_walk *w, struct walked_page *ret,
                                          struct error *err)
{
    const uint8_t *bytes;
    int event;

    if (!w->bits) {
        event = page_walk_advance(w, err);
        if (event != PAGE_WALK_PAGE)
            return event;
    }
    const struct ram_block *b = w->block;
    uint64_t page = w->first + (unsigned)__builtin_ctzll(w->bits);
    w->bits &= w->bits - 1;
    *ret = (struct walked_page){.page = page};
    if (b->present && !ram_page_present(b, page))
        return PAGE_WALK_PAGE;
    if (w->is_read) {
        bytes = page_reader_find(&w->reader, page);
        if (!bytes) {
            event = page_walk_read(w, page, err);
            if (event != PAGE_WALK_PAGE)
                return event;
            bytes = page_reader_find(&w->reader, page);
        }
        page_walk_sum(w, page, bytes);
        if (zero_page(bytes))
            return PAGE_WALK_PAGE;
        w->lent = true;
    } else {
        bytes = b->host + (page << RAM_PAGE_BITS);
        /* The zero check mostly ends at a page's first word, and waits for memory to deliver it. */
        __builtin_prefetch(bytes + PAGE_WALK_PREFETCH * RAM_PAGE_SIZE);
        page_walk_sum(w, page, bytes);
        if (zero_page(bytes))
            return PAGE_WALK_PAGE;
    }
    ret->bytes = bytes;
    return PAGE_WALK_PAGE;
}
