#include "ram/dirty_bitmap.h"

#include <stdlib.h>

int dirty_bitmap_init(struct dirty_bitmap *d, uint64_t n_pages, struct error *err)
{
    d->n_pages = n_pages;
    d->words = calloc(MAX(dirty_bitmap_words(d), UINT64_C(1)), sizeof(*d->words));
    if (!d->words)
        return err_sys(err, "memory for a dirty bitmap");
    return 0;
}

void dirty_bitmap_done(struct dirty_bitmap *d)
{
    free(UNQUALIFIED(d->words));
    d->words = NULL;
}

static uint64_t valid_bits(const struct dirty_bitmap *d, uint64_t word)
{
    uint64_t left = d->n_pages - MIN(word * 64, d->n_pages);

    return left >= 64 ? UINT64_MAX : (UINT64_C(1) << left) - 1;
}

unsigned dirty_bitmap_merge(struct dirty_bitmap *d, uint64_t word, uint64_t bits)
{
    bits &= valid_bits(d, word);
    if (!bits)
        return 0;
    uint64_t old = atomic_fetch_or_explicit(&d->words[word], bits, memory_order_release);
    return (unsigned)__builtin_popcountll(bits & ~old);
}

uint64_t dirty_bitmap_set_range(struct dirty_bitmap *d, uint64_t first, uint64_t end)
{
    uint64_t added = 0;

    while (first < end) {
        uint64_t in_word = MIN(64 - first % 64, end - first);
        uint64_t bits = in_word == 64 ? UINT64_MAX : (UINT64_C(1) << in_word) - 1;

        added += dirty_bitmap_merge(d, first / 64, bits << first % 64);
        first += in_word;
    }
    return added;
}

void dirty_bitmap_set_all(struct dirty_bitmap *d)
{
    for (uint64_t w = 0; w < dirty_bitmap_words(d); w++)
        atomic_store_explicit(&d->words[w], valid_bits(d, w), memory_order_release);
}

uint64_t dirty_bitmap_count(const struct dirty_bitmap *d)
{
    uint64_t n = 0;

    for (uint64_t w = 0; w < dirty_bitmap_words(d); w++)
        n += (uint64_t)__builtin_popcountll(
            atomic_load_explicit(&d->words[w], memory_order_relaxed));
    return n;
}
