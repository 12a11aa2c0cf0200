#include "ram/stripe.h"

#include <inttypes.h>
#include <pthread.h>

#include "tests/support/memory.h"
#include "tests/support/test.h"

static const uint64_t block_pages[] = {1, 512, 513, 511, 1024, 64, 65, 2000, 1};

static void make_map(struct ram_map *map)
{
    struct error err;

    for (size_t i = 0; i < ARRAY_LEN(block_pages); i++) {
        char name[8];

        snprintf(name, sizeof(name), "b%zu", i);
        OK(ram_map_add(map, name, block_pages[i] * RAM_PAGE_SIZE, &err), err, name);
    }
}

static _Atomic unsigned seen[ARRAY_LEN(block_pages)][2048];

static void *claim_all(void *arg)
{
    struct ram_round *r = arg;
    struct stripe s;

    while (stripe_claim(r, &s)) {
        uint64_t words[STRIPE_WORDS];
        struct error err;
        bool any;

        if (stripe_take(r, &s, words, &any, &err) < 0)
            return "stripe_take failed";
        if (s.first_page % STRIPE_PAGES || s.n_pages == 0 || s.n_pages > STRIPE_PAGES || !any)
            return "a stripe of odd shape";
        for (unsigned i = 0; i < STRIPE_PAGES; i++) {
            if (!(words[i / 64] >> i % 64 & 1))
                continue;
            if (i >= s.n_pages)
                return "a page behind the stripe's end";
            atomic_fetch_add(&seen[s.block][s.first_page + i], 1);
        }
    }
    return NULL;
}

static void every_page_is_claimed_once(void **state)
{
    struct ram_map map = {0};
    struct ram_round r;
    pthread_t threads[4];
    struct error err;

    (void)state;
    make_map(&map);
    OK(ram_round_init(&r, &map, false, NULL, &err), err, "init");
    for (unsigned round = 1; round <= 3; round++) {
        round_set_all(&r);
        CHECK(ram_round_dirty_pages(&r) == map.total_bytes / RAM_PAGE_SIZE, "dirty pages");
        ram_round_restart(&r);
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            pthread_create(&threads[i], NULL, claim_all, &r);
        for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
            void *why;

            pthread_join(threads[i], &why);
            CHECK(!why, "%s", (char *)why);
        }
        for (size_t b = 0; b < map.n; b++) {
            for (uint64_t page = 0; page < block_pages[b]; page++)
                CHECK(seen[b][page] == round, "round %u: block %zu, page %" PRIu64 ": %u times",
                      round, b, page, seen[b][page]);
        }
        CHECK(ram_round_dirty_pages(&r) == 0, "something is left");
    }
    ram_round_done(&r);
    ram_map_done(&map);
}

/* Blocks that do not travel, between others, at the start and at the end, have no
 * stripes and no bits. */
static void nothing_of_what_stays(void **state)
{
    static const char *const rows[] = {"itititiii", "tiiiiiiii", "iiiiiiiit", "iiiiiiiii",
                                       "-itti-it-"};

    (void)state;
    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        struct ram_map map = {0};
        struct ram_round r;
        struct error err;
        uint64_t pages = 0;

        make_map(&map);
        memset(seen, 0, sizeof(seen));
        for (size_t b = 0; b < map.n; b++) {
            bool travels = rows[row][b] == 't';

            map.blocks[b].travel = travels               ? RAM_TRAVELS
                                   : rows[row][b] == 'i' ? RAM_IGNORED
                                                         : RAM_NOT_LISTED;
            pages += travels ? block_pages[b] : 0;
        }
        OK(ram_round_init(&r, &map, true, NULL, &err), err, rows[row]);
        round_set_all(&r);
        CHECK(ram_round_dirty_pages(&r) == pages, "%s: dirty pages", rows[row]);
        CHECK(!claim_all(&r), "%s: an odd stripe", rows[row]);
        for (size_t b = 0; b < map.n; b++) {
            for (uint64_t page = 0; page < block_pages[b]; page++)
                CHECK(seen[b][page] == (rows[row][b] == 't'), "%s: block %zu, page %" PRIu64,
                      rows[row], b, page);
            CHECK(rows[row][b] == 't' || dirty_bitmap_words(&r.zeros[b]) == 0, "%s: bits of %zu",
                  rows[row], b);
            /* A machine's dirty log covers all of its memory. */
            CHECK(rows[row][b] == 't' || dirty_bitmap_merge(&r.dirty[b], 3, UINT64_MAX) == 0,
                  "%s: block %zu takes bits", rows[row], b);
        }
        ram_round_done(&r);
        ram_map_done(&map);
    }
}

/* --- the dirty source is armed before pages are read ------------------------------------------ */

struct arming {
    struct dirty_source base;
    struct ram_round *round;
    unsigned calls;
    size_t block;
    uint64_t first, n, word; /* that of page 700 */
    bool fail;
};

static int rearm(struct dirty_source *s, size_t block, uint64_t first_page, uint64_t n_pages,
                 const uint64_t *words, struct error *err)
{
    struct arming *a = (struct arming *)s;

    a->calls++;
    a->block = block;
    a->first = first_page;
    a->n = n_pages;
    a->word = words[188 / 64];
    return a->fail ? err_set(err, ERR_SYSTEM, "cannot be armed") : 0;
}

static void arms_what_it_takes(void **state)
{
    static const struct dirty_source_ops ops = {.rearm = rearm};
    struct arming a = {.base.ops = &ops};
    struct ram_map map = {0};
    struct ram_round r;
    struct stripe s;
    uint64_t words[STRIPE_WORDS];
    struct error err;
    bool any;

    (void)state;
    OK(ram_map_add(&map, "m", 1000 * RAM_PAGE_SIZE, &err), err, "add");
    OK(ram_round_init(&r, &map, true, &a.base, &err), err, "init");
    CHECK(r.zeros, "zeros are not collected");
    dirty_bitmap_set(&r.dirty[0], 700);
    assert_true(stripe_claim(&r, &s));
    OK(stripe_take(&r, &s, words, &any, &err), err, "clean stripe");
    CHECK(!any && a.calls == 0, "a clean stripe is armed");
    assert_true(stripe_claim(&r, &s));
    OK(stripe_take(&r, &s, words, &any, &err), err, "dirty stripe");
    CHECK(any && a.calls == 1 && a.block == 0 && a.first == 512 && a.n == 488, "armed otherwise");
    CHECK(a.word == UINT64_C(1) << 188 % 64, "other pages are armed");
    CHECK(words[188 / 64] == UINT64_C(1) << 188 % 64, "another page");
    CHECK(!stripe_claim(&r, &s) && !stripe_claim(&r, &s), "goes on behind the end");
    a.fail = true;
    dirty_bitmap_set(&r.dirty[0], 0);
    ram_round_restart(&r);
    assert_true(stripe_claim(&r, &s));
    check_refused("fails", stripe_take(&r, &s, words, &any, &err), &err, ERR_SYSTEM,
                  "cannot be armed");
    ram_round_done(&r);
    ram_map_done(&map);
}

static void empty_map(void **state)
{
    struct ram_map map = {0};
    struct ram_round r;
    struct stripe s;
    struct error err;

    (void)state;
    OK(ram_round_init(&r, &map, true, NULL, &err), err, "init");
    CHECK(!stripe_claim(&r, &s), "a stripe of nothing");
    ram_round_done(&r);
    ram_round_done(&r); /* a second call is fine */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_is_claimed_once),
        cmocka_unit_test(nothing_of_what_stays),
        cmocka_unit_test(arms_what_it_takes),
        cmocka_unit_test(empty_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
