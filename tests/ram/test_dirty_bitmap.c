#include "ram/dirty_bitmap.h"

#include <pthread.h>

#include "tests/support/test.h"

static const uint64_t lengths[] = {1, 63, 64, 65, 128, 1000};

static void counts_and_takes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        uint64_t n = lengths[i], taken = 0;
        struct dirty_bitmap d;
        struct error err;

        OK(dirty_bitmap_init(&d, n, &err), err, "init");
        CHECK(dirty_bitmap_count(&d) == 0, "%llu pages: not clear", (unsigned long long)n);
        for (uint64_t page = 0; page < n; page += 3)
            dirty_bitmap_set(&d, page);
        CHECK(dirty_bitmap_count(&d) == (n + 2) / 3, "%llu pages: count", (unsigned long long)n);
        dirty_bitmap_set_all(&d);
        CHECK(dirty_bitmap_count(&d) == n, "%llu pages: all", (unsigned long long)n);
        for (uint64_t w = 0; w < dirty_bitmap_words(&d); w++) {
            taken += (uint64_t)__builtin_popcountll(dirty_bitmap_take(&d, w));
            CHECK(dirty_bitmap_take(&d, w) == 0, "taken twice");
        }
        CHECK(taken == n, "%llu pages: took %llu", (unsigned long long)n,
              (unsigned long long)taken);
        dirty_bitmap_done(&d);
    }
}

static const struct range_case {
    const char *label;
    uint64_t first, end, fresh;
} range_cases[] = {
    {"one page", 5, 6, 1},           {"none", 9, 9, 0},         {"a word", 64, 128, 64},
    {"over a border", 120, 140, 12}, {"the same", 120, 140, 0}, {"to the end", 190, 200, 10},
};

static void sets_ranges(void **state)
{
    struct dirty_bitmap d;
    struct error err;

    (void)state;
    OK(dirty_bitmap_init(&d, 200, &err), err, "init");
    for (size_t i = 0; i < ARRAY_LEN(range_cases); i++) {
        const struct range_case *c = &range_cases[i];

        CHECK(dirty_bitmap_set_range(&d, c->first, c->end) == c->fresh, "%s", c->label);
        for (uint64_t page = c->first; page < c->end; page++)
            CHECK(d.words[page / 64] >> page % 64 & 1, "%s: page %llu", c->label,
                  (unsigned long long)page);
    }
    CHECK(dirty_bitmap_count(&d) == 87, "the sum");
    dirty_bitmap_done(&d);
}

static const struct merge_case {
    const char *label;
    uint64_t word, bits;
    unsigned fresh;
} merge_cases[] = {
    {"new", 0, 0x0f, 4},
    {"the same again", 0, 0x0f, 0},
    {"some of them", 0, 0x3c, 2},
    {"none", 0, 0, 0},
    {"behind the end", 1, ~UINT64_C(0x3f), 0}, /* 70 pages: 6 bits in the second word */
    {"over the end", 1, UINT64_MAX, 6},
};

static void merges(void **state)
{
    struct dirty_bitmap d;
    struct error err;

    (void)state;
    OK(dirty_bitmap_init(&d, 70, &err), err, "init");
    for (size_t i = 0; i < ARRAY_LEN(merge_cases); i++) {
        const struct merge_case *c = &merge_cases[i];

        CHECK(dirty_bitmap_merge(&d, c->word, c->bits) == c->fresh, "%s", c->label);
    }
    CHECK(dirty_bitmap_count(&d) == 12, "the sum");
    dirty_bitmap_done(&d);
}

/* Writers set every page once; takers take pages until all have come: none is lost,
 * none comes twice. */
#define PAGES   20000
#define WRITERS 2

static struct dirty_bitmap shared;
static _Atomic unsigned seen[PAGES];
static _Atomic uint64_t total;

static void *write_pages(void *arg)
{
    for (uint64_t page = (uintptr_t)arg; page < PAGES; page += WRITERS)
        dirty_bitmap_set(&shared, page);
    return NULL;
}

static void *take_pages(void *arg)
{
    (void)arg;
    while (atomic_load(&total) < PAGES) {
        for (uint64_t w = 0; w < dirty_bitmap_words(&shared); w++) {
            for (uint64_t bits = dirty_bitmap_take(&shared, w); bits; bits &= bits - 1) {
                atomic_fetch_add(&seen[w * 64 + (unsigned)__builtin_ctzll(bits)], 1);
                atomic_fetch_add(&total, 1);
            }
        }
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    pthread_t threads[WRITERS + 2];
    struct error err;

    (void)state;
    OK(dirty_bitmap_init(&shared, PAGES, &err), err, "init");
    for (uintptr_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, i < WRITERS ? write_pages : take_pages, (void *)i);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    for (size_t page = 0; page < PAGES; page++)
        CHECK(seen[page] == 1, "page %zu was taken %u times", page, seen[page]);
    CHECK(dirty_bitmap_count(&shared) == 0, "something is left");
    dirty_bitmap_done(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_and_takes),
        cmocka_unit_test(merges),
        cmocka_unit_test(sets_ranges),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
