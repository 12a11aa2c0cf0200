/* ram/page_samples.c: pages are kept in runs, spread over all that pass, and never too many. */
#include <string.h>

#include "base/macros.h"
#include "ram/page_samples.h"
#include "tests/support/test.h"

#define RUN_BYTES ((size_t)PAGE_SAMPLES_RUN * RAM_PAGE_SIZE)

/* Offers `n` pages in pieces; each page begins with its number. */
static void offer(struct page_samples *s, uint64_t n, unsigned piece)
{
    static uint8_t bytes[RUN_BYTES * 2];

    for (uint64_t at = 0; at < n; at += piece) {
        unsigned here = (unsigned)MIN(n - at, (uint64_t)piece);

        for (unsigned i = 0; i < here; i++) {
            uint64_t number = at + i;

            memcpy(bytes + (size_t)i * RAM_PAGE_SIZE, &number, sizeof(number));
        }
        page_samples_offer(s, bytes, (size_t)here * RAM_PAGE_SIZE);
    }
}

/* Every run has the pages of its stretch, in order. Returns the pages of all. */
static uint64_t check_runs(const struct page_samples *s)
{
    uint64_t pages = 0, every = atomic_load(&s->every);

    for (size_t i = 0; i < s->n; i++) {
        size_t len;
        const uint8_t *run = page_samples_run(s, i, &len);

        assert_int_equal(s->runs[i].stretch % every, 0);
        for (size_t at = 0; at < len; at += RAM_PAGE_SIZE) {
            uint64_t number;

            memcpy(&number, run + at, sizeof(number));
            assert_int_equal(number, s->runs[i].stretch * PAGE_SAMPLES_RUN + at / RAM_PAGE_SIZE);
        }
        pages += len / RAM_PAGE_SIZE;
    }
    return pages;
}

static const struct case_ {
    const char *label;
    uint64_t pages;
    unsigned piece;
    uint64_t every, kept; /* expected */
} cases[] = {
    {"nothing", 0, 1, 1, 0},
    {"one page", 1, 1, 1, 1},
    {"a run and a half, in pieces that do not fit", 192, 100, 1, 192},
    {"pieces that are longer than a run", 512, 256, 1, 512},
    {"as much as fits", PAGE_SAMPLES_RUNS *PAGE_SAMPLES_RUN, 128, 1,
     PAGE_SAMPLES_RUNS *PAGE_SAMPLES_RUN},
    {"one more", PAGE_SAMPLES_RUNS *PAGE_SAMPLES_RUN + 1, 128, 2,
     PAGE_SAMPLES_RUNS / 2 * PAGE_SAMPLES_RUN + 1},
    {"sixteen times as much", 16 * PAGE_SAMPLES_RUNS *PAGE_SAMPLES_RUN, 128, 16,
     PAGE_SAMPLES_RUNS *PAGE_SAMPLES_RUN},
};

static void test_spread(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct case_ *c = &cases[i];
        struct page_samples s;
        struct error err;

        assert_int_equal(page_samples_init(&s, &err), 0);
        offer(&s, c->pages, c->piece);
        uint64_t kept = check_runs(&s);
        if (kept != c->kept || atomic_load(&s.every) != c->every)
            fail_msg("%s: %llu pages of every %llu-th stretch", c->label, (unsigned long long)kept,
                     (unsigned long long)atomic_load(&s.every));
        page_samples_done(&s);
    }
}

static void test_done_of_nothing(void **state)
{
    struct page_samples s = {0};

    (void)state;
    page_samples_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_done_of_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
