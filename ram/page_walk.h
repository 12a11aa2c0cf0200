/*
 * ram/page_walk.h: the one loop over a round's dirty pages. Every sink uses it; a sink of several
 * threads has a walk for each, and together they claim the round's stripes.
 *
 * It knows which page is next, where its bytes are, and whether they are all zero. What becomes of
 * a page is the sink's affair. One thread for each walk.
 */
#pragma once

#include "ram/page_reader.h"
#include "ram/stripe.h"
#include "ram/zero_page.h"

#define PAGE_WALK_PREFETCH 4 /* pages */

/* What page_walk_next() has come to. */
enum page_walk_event {
    PAGE_WALK_END, /* no stripe is left */
    PAGE_WALK_PAGE,
    /*
     * The sink may keep the bytes of the pages before no longer: it sends or writes what it has
     * collected of them. They are still good now, not after the next call. It comes before the
     * first page of each block, with `block` set, where the buffer for pages of a file is full, and
     * where PAGE_WALK_PIECES says.
     */
    PAGE_WALK_CUT,
};

/* How a sink wants it. */
enum page_walk_flags {
    /* Pages of a file that does not change are read, not looked at as mapped. */
    PAGE_WALK_READS = 1,
    /* A cut after each stripe, and before each run of pages that is read. */
    PAGE_WALK_PIECES = 2,
};

struct walked_page {
    uint64_t page;        /* number in the walk's block */
    const uint8_t *bytes; /* NULL: all of it is zero */
};

struct page_walk {
    /* For the sink: of all pages from the latest cut to the next. */
    const struct ram_block *block;
    bool stable; /* nobody writes them: their bytes will be the same when they are sent */
    /* Of the page, or of the first one after a cut. */
    struct stripe stripe;

    /* The walk's own. */
    uint64_t bits;  /* dirty pages of the present word that are still to come, … */
    uint64_t first; /* … bit 0's number in the block */
    bool is_read;   /* the block's pages are read into the reader's buffer */
    bool lent;      /* the sink has bytes in that buffer */
    bool cut;       /* after the present stripe a cut is due */
    unsigned flags; /* enum page_walk_flags */
    unsigned next;  /* word of the stripe */
    struct ram_round *round;
    uint64_t words[STRIPE_WORDS];
    struct page_reader reader;
};

/* The next round, from any stripe on that nobody has. `w` was zeroed before its first round. */
void page_walk_start(struct page_walk *w, struct ram_round *round, unsigned flags);
void page_walk_done(struct page_walk *w);

/* The sink has let go, before a cut asked for it, of all bytes that it was given: the buffer need
 * not fill up. */
static inline void page_walk_release(struct page_walk *w)
{
    w->lent = false;
}

/* page_walk.c, for page_walk_next() only: the next word with a dirty page, and a page of a file. */
MUST_USE int page_walk_advance(struct page_walk *w, struct error *err);
MUST_USE int page_walk_read(struct page_walk *w, uint64_t page, struct error *err);

/*
 * An event, or -1. A stripe is armed in the dirty source again before the first of its pages is
 * returned. In the header, as it is called for each page.
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
        if (zero_page(bytes))
            return PAGE_WALK_PAGE;
        w->lent = true;
    } else {
        bytes = b->host + (page << RAM_PAGE_BITS);
        /* The scan mostly ends at a page's first word, which the memory takes long to bring. */
        __builtin_prefetch(bytes + PAGE_WALK_PREFETCH * RAM_PAGE_SIZE);
        if (zero_page(bytes))
            return PAGE_WALK_PAGE;
    }
    ret->bytes = bytes;
    return PAGE_WALK_PAGE;
}
