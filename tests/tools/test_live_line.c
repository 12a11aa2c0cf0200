#include "tools/live_line.h"

#include <string.h>

#include "tests/support/test.h"

static const struct width_case {
    size_t columns;
    const char *want;
} width_cases[] = {
    {0, "active round 2, 1.21 GB/s, 2.50 MB left, round ends in 3.00 s, dirty 4 MB/s [1 + …]"},
    {83, "active round 2, 1.21 GB/s, 2.50 MB left, round ends in 3.00 s, dirty 4 MB/s [1 + …]"},
    {82, "active round 2, 1.21 GB/s, 2.50 MB left, round ends in 3.00 s, dirty 4 MB/s"},
    {74, "active round 2, 1.21 GB/s, 2.50 MB left, round ends in 3.00 s"},
    {60, "active round 2, 1.21 GB/s, 2.50 MB left"},
    {30, "active round 2, 1.21 GB/s"},
    {14, "active round 2"},
    {6, "active"},
    {1, "a"},
};

static void fill(struct live_line *l)
{
    live_line_begin(l);
    live_line_add(l, LIVE_STATE, "active round %d", 2);
    live_line_add(l, LIVE_RATE, ", 1.21 GB/s");
    live_line_add(l, LIVE_LEFT, ", 2.50 MB left");
    live_line_add(l, LIVE_ESTIMATE, ", round ends in 3.00 s");
    live_line_add(l, LIVE_GUEST, ", dirty 4 MB/s");
    live_line_add(l, LIVE_CHANNELS, " [1 + …]");
}

static void widths(void **state)
{
    char text[LIVE_LINE_LEN];
    struct live_line l;

    (void)state;
    fill(&l);
    for (size_t i = 0; i < ARRAY_LEN(width_cases); i++) {
        live_line_text(&l, width_cases[i].columns, text);
        CHECK(strcmp(text, width_cases[i].want) == 0, "%zu columns: '%s'", width_cases[i].columns,
              text);
    }
}

/* A character is not cut in two, and has one column. */
static void characters(void **state)
{
    char text[LIVE_LINE_LEN];
    struct live_line l;

    (void)state;
    live_line_begin(&l);
    live_line_add(&l, LIVE_STATE, "a…b…c");
    live_line_text(&l, 2, text);
    assert_string_equal(text, "a…");
    live_line_text(&l, 4, text);
    assert_string_equal(text, "a…b…");
}

static void too_much(void **state)
{
    char text[LIVE_LINE_LEN];
    struct live_line l;

    (void)state;
    live_line_begin(&l);
    for (int i = 0; i < LIVE_PARTS + 3; i++)
        live_line_add(&l, LIVE_STATE, "%0200d", i);
    assert_int_equal(l.n, LIVE_PARTS);
    live_line_text(&l, 0, text);
    assert_int_equal(strlen(text), LIVE_LINE_LEN - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths),
        cmocka_unit_test(characters),
        cmocka_unit_test(too_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
