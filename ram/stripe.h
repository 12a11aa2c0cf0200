/*
 * ram/stripe.h: a round's work, cut into pieces that threads claim.
 *
 * A stripe is an aligned 2 MiB piece of one block: a huge page, a piece of one NUMA node, 512 bits
 * of the dirty bitmap. Whoever claims it owns it for the round; no page ever changes hands.
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
    unsigned n_pages; /* ≤ STRIPE_PAGES: the end of a block cuts the last one */
};

/* Everything the threads of one round share. */
struct ram_round {
    /* Set before the round, read-only in it. */
    const struct ram_map *map;
    /* One per block, empty of one that does not travel; stripes are taken from here. */
    struct dirty_bitmap *dirty;
    struct dirty_bitmap *zeros;  /* one per block: zero pages found, for the main stream; or NULL */
    struct dirty_source *source; /* NULL: the memory stands still */
    uint64_t *first_stripe;      /* map->n + 1 entries: number of each block's first stripe */
    /* Any thread. */
    _Atomic uint64_t cursor; /* the next stripe to be claimed */
};

/* A bitmap for each block, all clear, and empty of one that does not travel. */
MUST_USE int ram_bitmaps_new(const struct ram_map *map, struct dirty_bitmap **ret,
                             struct error *err);
/* `n` of them; NULL is fine. */
void ram_bitmaps_free(struct dirty_bitmap *d, size_t n);

MUST_USE int ram_round_init(struct ram_round *r, const struct ram_map *map, bool collect_zeros,
                            struct dirty_source *source, struct error *err);
void ram_round_done(struct ram_round *r);
/* Back to the first stripe. No thread may be claiming. */
void ram_round_restart(struct ram_round *r);
uint64_t ram_round_dirty_pages(const struct ram_round *r);

/* The next stripe that nobody has, or false at the round's end. Any thread. */
bool stripe_claim(struct ram_round *r, struct stripe *ret);
/*
 * The dirty pages of a claimed stripe, cleared in the round's bitmap: bit i of words[i / 64] is
 * page first_page + i. Arms them in the dirty source first. *ret_any: whether there is one.
 */
MUST_USE int stripe_take(struct ram_round *r, const struct stripe *s, uint64_t words[STRIPE_WORDS],
                         bool *ret_any, struct error *err);
/* How many of them follow each other from `page` on, `max` at most. What is known to be zero ends
 * it. */
size_t stripe_run_length(const struct stripe *s, const uint64_t words[STRIPE_WORDS],
                         const struct ram_block *b, uint64_t page, size_t max);
