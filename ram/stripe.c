#include "ram/stripe.h"

#include <stdlib.h>

static uint64_t travelling_pages(const struct ram_block *b)
{
    return b->travel == RAM_TRAVELS ? ram_block_pages(b) : 0;
}

int ram_bitmaps_new(const struct ram_map *map, struct dirty_bitmap **ret, struct error *err)
{
    struct dirty_bitmap *d = calloc(MAX(map->n, (size_t)1), sizeof(*d));

    if (!d)
        return err_sys(err, "memory for bitmaps");
    for (size_t i = 0; i < map->n; i++) {
        if (dirty_bitmap_init(&d[i], travelling_pages(&map->blocks[i]), err) < 0) {
            ram_bitmaps_free(d, map->n);
            return -1;
        }
    }
    *ret = d;
    return 0;
}

void ram_bitmaps_free(struct dirty_bitmap *d, size_t n)
{
    for (size_t i = 0; d && i < n; i++)
        dirty_bitmap_done(&d[i]);
    free(d);
}

static int number_stripes(struct ram_round *r, struct error *err)
{
    r->first_stripe = calloc(r->map->n + 1, sizeof(*r->first_stripe));
    if (!r->first_stripe)
        return err_sys(err, "memory for a round");
    for (size_t i = 0; i < r->map->n; i++) {
        uint64_t pages = travelling_pages(&r->map->blocks[i]);

        r->first_stripe[i + 1] = r->first_stripe[i] + (pages + STRIPE_PAGES - 1) / STRIPE_PAGES;
    }
    return 0;
}

int ram_round_init(struct ram_round *r, const struct ram_map *map, bool collect_zeros,
                   struct dirty_source *source, struct error *err)
{
    *r = (struct ram_round){.map = map, .source = source};
    if (number_stripes(r, err) < 0 || ram_bitmaps_new(map, &r->dirty, err) < 0 ||
        (collect_zeros && ram_bitmaps_new(map, &r->zeros, err) < 0)) {
        ram_round_done(r);
        return -1;
    }
    return 0;
}

void ram_round_done(struct ram_round *r)
{
    if (!r->map)
        return;
    ram_bitmaps_free(r->dirty, r->map->n);
    ram_bitmaps_free(r->zeros, r->map->n);
    free(r->first_stripe);
    *r = (struct ram_round){0};
}

void ram_round_restart(struct ram_round *r)
{
    atomic_store(&r->cursor, 0);
}

uint64_t ram_round_dirty_pages(const struct ram_round *r)
{
    uint64_t n = 0;

    for (size_t i = 0; i < r->map->n; i++)
        n += dirty_bitmap_count(&r->dirty[i]);
    return n;
}

/* The block that stripe `number` belongs to: the last one whose first stripe is not after it. */
static size_t block_of(const struct ram_round *r, uint64_t number)
{
    size_t low = 0, high = r->map->n;

    while (high - low > 1) {
        size_t mid = (low + high) / 2;

        if (r->first_stripe[mid] <= number)
            low = mid;
        else
            high = mid;
    }
    return low;
}

bool stripe_claim(struct ram_round *r, struct stripe *ret)
{
    uint64_t number = atomic_fetch_add_explicit(&r->cursor, 1, memory_order_relaxed);

    if (number >= r->first_stripe[r->map->n])
        return false;
    size_t block = block_of(r, number);
    uint64_t first = (number - r->first_stripe[block]) * STRIPE_PAGES;
    uint64_t left = ram_block_pages(&r->map->blocks[block]) - first;
    *ret = (struct stripe){
        .block = block,
        .first_page = first,
        .n_pages = (unsigned)MIN(left, (uint64_t)STRIPE_PAGES),
    };
    return true;
}

int stripe_take(struct ram_round *r, const struct stripe *s, uint64_t words[STRIPE_WORDS],
                bool *ret_any, struct error *err)
{
    struct dirty_bitmap *d = &r->dirty[s->block];
    uint64_t first = s->first_page / 64, end = dirty_bitmap_words(d), any = 0;

    for (unsigned i = 0; i < STRIPE_WORDS; i++) {
        words[i] = first + i < end ? dirty_bitmap_take(d, first + i) : 0;
        any |= words[i];
    }
    *ret_any = any != 0;
    if (!any || !r->source || !r->source->ops->rearm)
        return 0;
    return r->source->ops->rearm(r->source, s->block, s->first_page, s->n_pages, words, err);
}

size_t stripe_run_length(const struct stripe *s, const uint64_t words[STRIPE_WORDS],
                         const struct ram_block *b, uint64_t page, size_t max)
{
    size_t n = 0;

    for (uint64_t i = page - s->first_page; n < max && i < s->n_pages; i++, n++) {
        if (!(words[i / 64] >> i % 64 & 1) || (b->present && !ram_page_present(b, page + n)))
            break;
    }
    return n;
}
