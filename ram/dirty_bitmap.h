/*
 * ram/dirty_bitmap.h: one bit per page of a block; a set bit means that the page must be sent. Any
 * thread, without locks.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct dirty_bitmap {
    uint64_t n_pages;
    _Atomic uint64_t *words; /* page p is bit p % 64 of word p / 64; no bit past n_pages is set */
};

/* All clear. */
MUST_USE int dirty_bitmap_init(struct dirty_bitmap *d, uint64_t n_pages, struct error *err);
void dirty_bitmap_done(struct dirty_bitmap *d);

static inline uint64_t dirty_bitmap_words(const struct dirty_bitmap *d)
{
    return (d->n_pages + 63) / 64;
}

/* Release order: a thread that takes the bit sees what was written to the page before. */
static inline void dirty_bitmap_set(struct dirty_bitmap *d, uint64_t page)
{
    atomic_fetch_or_explicit(&d->words[page / 64], UINT64_C(1) << page % 64, memory_order_release);
}

static inline void dirty_bitmap_clear(struct dirty_bitmap *d, uint64_t page)
{
    uint64_t bit = UINT64_C(1) << page % 64;

    if (atomic_load_explicit(&d->words[page / 64], memory_order_relaxed) & bit)
        atomic_fetch_and_explicit(&d->words[page / 64], ~bit, memory_order_relaxed);
}

/* Sets the given bits of a word; those past the end are dropped. Returns how many were new. */
unsigned dirty_bitmap_merge(struct dirty_bitmap *d, uint64_t word, uint64_t bits);
/* Sets pages first to end - 1, none of them past the bitmap's end. Returns how many were new. */
uint64_t dirty_bitmap_set_range(struct dirty_bitmap *d, uint64_t first, uint64_t end);
/* Reads and clears a word in one step: no bit that another thread sets meanwhile is lost. */
static inline uint64_t dirty_bitmap_take(struct dirty_bitmap *d, uint64_t word)
{
    if (!atomic_load_explicit(&d->words[word], memory_order_relaxed))
        return 0; /* the usual case in later rounds; this saves a costly atomic exchange */
    return atomic_exchange_explicit(&d->words[word], 0, memory_order_acquire);
}

void dirty_bitmap_set_all(struct dirty_bitmap *d);
/* In pages. Other threads may have changed the number by the time of the return. */
uint64_t dirty_bitmap_count(const struct dirty_bitmap *d);
