#include "base/clock.h"
#include "tests/support/test.h"

static void never_goes_back(void **state)
{
    uint64_t last = clock_ns();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_ns();

        CHECK(now >= last, "went back by %llu ns", (unsigned long long)(last - now));
        last = now;
    }
}

static void zero_is_no_limit(void **state)
{
    (void)state;
    CHECK(deadline_in_ms(0) == DEADLINE_NEVER, "0 ms");
    CHECK(deadline_in_ms(UINT64_MAX) == DEADLINE_NEVER, "more than there will be");
    CHECK(deadline_in_ms(UINT64_MAX / NS_PER_MS) == DEADLINE_NEVER, "would overflow");
    CHECK(deadline_poll_ms(DEADLINE_NEVER) == -1, "poll for ever");
}

static void lies_ahead(void **state)
{
    uint64_t before = clock_ns(), deadline = deadline_in_ms(1000), after = clock_ns();

    (void)state;
    CHECK(deadline >= before + NS_PER_S && deadline <= after + NS_PER_S, "one second");
}

static void poll_rounds_up(void **state)
{
    (void)state;
    CHECK(deadline_poll_ms(1) == 0, "behind us");
    CHECK(deadline_poll_ms(clock_ns()) == 0, "now");
    /* A poll that ends a millisecond too early would spin; the hour leaves room for
     * a slow scheduler. */
    int ms = deadline_poll_ms(clock_ns() + 3600 * NS_PER_S);
    CHECK(ms > 3500 * 1000 && ms <= 3600 * 1000, "an hour is %d ms", ms);
    CHECK(deadline_poll_ms(clock_ns() + 1) <= 1, "a nanosecond");
    CHECK(deadline_poll_ms(UINT64_MAX - 1) == INT32_MAX, "cut to what poll takes");
}

static void splits_into_a_timespec(void **state)
{
    struct timespec t = deadline_timespec(7 * NS_PER_S + 123456789);

    (void)state;
    assert_int_equal(t.tv_sec, 7);
    assert_int_equal(t.tv_nsec, 123456789);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_goes_back),
        cmocka_unit_test(zero_is_no_limit),
        cmocka_unit_test(lies_ahead),
        cmocka_unit_test(poll_rounds_up),
        cmocka_unit_test(splits_into_a_timespec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
