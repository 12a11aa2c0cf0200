/* migration/measurement.c and pack_trial.c: rounds are found as the source shows them, and kept
 * pages are packed. */
#include <string.h>

#include "base/macros.h"
#include "migration/measurement.h"
#include "migration/pack_trial.h"
#include "tests/support/test.h"

static uint8_t pages[16 * RAM_PAGE_SIZE];

static void begin(struct measurement *m)
{
    struct error err;

    assert_int_equal(measurement_init(m, 300, &err), 0);
    measurement_begin(m);
}

/* A section with one page; 0: an empty section. */
struct step {
    uint64_t page;   /* its number + 1 */
    bool word, ends; /* a word comes; a round ends here */
};

static const struct case_ {
    const char *label;
    enum measured_by by;
    struct step steps[8];
    size_t n, rounds;
} cases[] = {
    {"places that only rise", MEASURED_BY_PLACES, {{.page = 1}, {.page = 5}, {.page = 9}}, 3, 0},
    {"a place that falls",
     MEASURED_BY_PLACES,
     {{.page = 5}, {.page = 9}, {.page = 2, .ends = true}, {.page = 6}},
     4,
     1},
    {"the same place again", MEASURED_BY_PLACES, {{.page = 5}, {.page = 5, .ends = true}}, 2, 1},
    {"one empty section is none",
     MEASURED_BY_PLACES,
     {{.page = 5}, {.page = 0}, {.page = 7}},
     3,
     0},
    {"two are",
     MEASURED_BY_PLACES,
     {{.page = 5}, {.page = 0}, {.page = 0, .ends = true}, {.page = 7}},
     4,
     1},
    {"words",
     MEASURED_BY_WORDS,
     {{.page = 5}, {.page = 2}, {.page = 9, .word = true, .ends = true}, {.page = 1}},
     4,
     1},
    {"a word after nothing ends the same round",
     MEASURED_BY_WORDS,
     {{.page = 5, .word = true, .ends = true}, {.page = 0, .word = true, .ends = true}},
     2,
     1},
    {"parts", MEASURED_BY_PARTS, {{.page = 5, .ends = true}, {.page = 9, .ends = true}}, 2, 2},
};

static void test_rounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct case_ *c = &cases[i];
        struct measurement m;

        begin(&m);
        for (size_t k = 0; k < c->n; k++) {
            const struct step *s = &c->steps[k];

            if (s->page)
                measurement_pages(&m, 0, (s->page - 1) * RAM_PAGE_SIZE, pages, RAM_PAGE_SIZE);
            if (measurement_section(&m, c->by, s->word) != s->ends)
                fail_msg("%s: section %zu", c->label, k);
        }
        if (m.n_rounds != c->rounds)
            fail_msg("%s: %zu rounds, expected %zu", c->label, m.n_rounds, c->rounds);
        measurement_done(&m);
    }
}

/* The block's number counts before the page's. */
static void test_order_of_blocks(void **state)
{
    struct measurement m;

    (void)state;
    begin(&m);
    measurement_pages(&m, 0, 9 * RAM_PAGE_SIZE, pages, RAM_PAGE_SIZE);
    assert_false(measurement_section(&m, MEASURED_BY_PLACES, false));
    measurement_pages(&m, 1, 0, pages, RAM_PAGE_SIZE);
    assert_false(measurement_section(&m, MEASURED_BY_PLACES, false));
    measurement_pages(&m, 0, 10 * RAM_PAGE_SIZE, pages, RAM_PAGE_SIZE);
    assert_true(measurement_section(&m, MEASURED_BY_PLACES, false));
    measurement_done(&m);
}

static void test_more_rounds_than_are_kept(void **state)
{
    struct measurement m;

    (void)state;
    begin(&m);
    for (size_t i = 0; i < MEASURED_ROUNDS_MAX + 10; i++) {
        measurement_pages(&m, 0, 0, pages, sizeof(pages));
        assert_true(measurement_section(&m, MEASURED_BY_PARTS, false));
    }
    assert_int_equal(m.n_rounds, MEASURED_ROUNDS_MAX + 10);
    assert_int_equal(m.last.bytes, sizeof(pages));
    assert_true(measurement_dirty_bytes_per_s(&m) > 0);
    measurement_done(&m);
}

static void test_downtime(void **state)
{
    struct measurement m;

    (void)state;
    begin(&m);
    measurement_end(&m, MEASURED_STOPPED);
    assert_int_equal(measurement_downtime_us(&m, 1 << 20), 0); /* no rate is known */
    m.peak_bytes_per_s = 1 << 20;
    assert_int_equal(measurement_downtime_us(&m, 1 << 20), 1000000); /* still in its first round */
    assert_true(measurement_tells_downtime(&m));
    m.n_rounds = 1;
    assert_false(measurement_tells_downtime(&m)); /* its rest was within the source's limit */
    m.last = (struct measured_round){.ns = 1, .bytes = 1 << 19};
    measurement_end(&m, MEASURED_SETTLED);
    assert_int_equal(measurement_downtime_us(&m, 1 << 20), 500000);
    m.told.expected_downtime_us = 77;
    measurement_end(&m, MEASURED_TOLD);
    assert_int_equal(measurement_downtime_us(&m, 1 << 20), 77);
    measurement_done(&m);
}

/* What packs well is found to, and another method than those of this build is refused. */
static void test_packing(void **state)
{
    struct measurement m;
    struct pack_trial t;
    struct error err;

    (void)state;
    begin(&m);
    memset(pages, 'x', sizeof(pages));
    measurement_pages(&m, 0, 0, pages, sizeof(pages));
    assert_int_equal(pack_trial_run(&m.samples, CODEC_QPL, 1, 100, NULL, &t, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    if (codec_packing(CODEC_ZLIB, 1)) {
        assert_int_equal(pack_trial_run(&m.samples, CODEC_ZLIB, 1, 1000, NULL, &t, &err), 0);
        assert_int_equal(t.bytes, sizeof(pages));
        assert_true(pack_trial_ratio(&t) > 50);
    }
    measurement_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_order_of_blocks),
        cmocka_unit_test(test_more_rounds_than_are_kept),
        cmocka_unit_test(test_downtime),
        cmocka_unit_test(test_packing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
