/*
 * ram/stripe.h: a round's work, cut into pieces that threads claim.
 *
 * A stripe is an aligned 2 MiB piece of one block: a huge page, a piece of one NUMA node, 512 bits
 * of the dirty bitmap. The thread that claims a stripe owns it for the round; no page is passed
 * from one thread to another.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "ram/block.h"
#include "ram/dirty_bitmap.h"
#include "ram/dirty_source.h"

#define STRIPE_PAGES 512U
#define STRIPE_WORDS (STRIPE_PAGES / 64)

struct stripe {
    size_t block;
    uint64_t first_page;
    unsigned n_pages; /* ≤ STRIPE_PAGES: a block's last stripe may be shorter */
};

/* Everything the threads of one round share. */
struct ram_round {
    /* Set before the round, read-only in it. */
    const struct ram_map *map;
    /* One per block, of no pages if the block does not travel; stripe_take() takes bits from it. */
    struct dirty_bitmap *dirty;
    struct dirty_bitmap *zeros;  /* one per block: zero pages found, for the main stream; or NULL */
    struct dirty_source *source; /* NULL: the memory does not change */
    uint64_t *first_stripe;      /* map->n + 1 entries: number of each block's first stripe */
    /* Any thread. */
    _Atomic uint64_t cursor; /* the next stripe to be claimed */
};

/* A bitmap for each block, all clear, and of no pages if the block does not travel. */
MUST_USE int ram_bitmaps_new(const struct ram_map *map, struct dirty_bitmap **ret,
                             struct error *err);
/* Frees `n` bitmaps; NULL is fine. */
void ram_bitmaps_free(struct dirty_bitmap *d, size_t n);

MUST_USE int ram_round_init(struct ram_round *r, const struct ram_map *map, bool collect_zeros,
                            struct dirty_source *source, struct error *err);
void ram_round_done(struct ram_round *r);
/* Goes back to the first stripe. No thread may claim stripes meanwhile. */
void ram_round_restart(struct ram_round *r);
uint64_t ram_round_dirty_pages(const struct ram_round *r);

/* Claims the next stripe, or returns false at the round's end. Any thread. */
bool stripe_claim(struct ram_round *r, struct stripe *ret);
/*
 * Takes the dirty pages of a claimed stripe out of the round's bitmap: bit i % 64 of words[i / 64]
 * is page first_page + i. Re-arms them in the dirty source. *ret_any: whether any page is dirty.
 */
MUST_USE int stripe_take(struct ram_round *r, const struct stripe *s, uint64_t words[STRIPE_WORDS],
                         bool *ret_any, struct error *err);
/* How many dirty pages follow each other from `page` on, at most `max`. A page that is known to be
 * zero ends the run. */
size_t stripe_run_length(const struct stripe *s, const uint64_t words[STRIPE_WORDS],
                         const struct ram_block *b, uint64_t page, size_t max);
