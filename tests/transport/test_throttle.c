/*
 * The arithmetic decides, not the machine's mood: a stopped throttle reserves without waiting, and
 * what real waiting took is only compared with a lower bound.
 */
#include "transport/throttle.h"

#include <pthread.h>

#include "base/clock.h"
#include "tests/support/test.h"

#define CREDIT_MAX_NS (20 * NS_PER_MS)

static void no_limit_reserves_nothing(void **state)
{
    struct throttle t;

    (void)state;
    throttle_init(&t, 0);
    throttle_take(&t, UINT64_MAX);
    assert_int_equal(t.free_at_ns, 0);
    throttle_done(&t);
}

static const struct rate_case {
    const char *label;
    uint64_t bytes_per_s;
    unsigned n;
    uint64_t small, large; /* bytes, in turn */
} rate_cases[] = {
    {"10 Gbit/s, packets", UINT64_C(1250000000), 20000, 1344, 1344 + 128 * 4096},
    {"1 MB/s, packets", 1000000, 1000, 64, 1344 + 128 * 4096},
    {"100 MB/s, all equal", 100000000, 5000, 65536, 65536},
    {"1 byte/s", 1, 10, 1, 3},
    {"400 Gbit/s", UINT64_C(50000000000), 200000, 1344, 525632},
};

static void reserves_the_rate_exactly(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rate_cases); i++) {
        const struct rate_case *c = &rate_cases[i];
        struct throttle t;
        double bytes = 0;

        throttle_init(&t, c->bytes_per_s);
        throttle_stop(&t);
        /* Far enough ahead that no credit is given while the test runs. */
        throttle_take(&t, c->bytes_per_s * 3600);
        uint64_t start = t.free_at_ns;
        for (unsigned k = 0; k < c->n; k++) {
            uint64_t len = k % 2 ? c->large : c->small;

            throttle_take(&t, len);
            bytes += (double)len;
        }
        double rate = bytes / ((double)(t.free_at_ns - start) / (double)NS_PER_S);
        double off = rate / (double)c->bytes_per_s - 1;
        CHECK(off > -0.001 && off < 0.001, "%s: %.0f bytes/s are reserved, %.3f %% off", c->label,
              rate, off * 100);
        throttle_done(&t);
    }
}

static void idle_earns_a_little_credit_only(void **state)
{
    struct throttle t;

    (void)state;
    throttle_init(&t, 1000000);
    throttle_stop(&t);
    uint64_t before = clock_ns();
    throttle_take(&t, 1000000);
    uint64_t after = clock_ns();
    CHECK(t.free_at_ns >= before - CREDIT_MAX_NS + NS_PER_S, "more credit than 20 ms");
    CHECK(t.free_at_ns <= after + NS_PER_S, "an idle sender had to wait");
    throttle_done(&t);
}

static struct throttle shared;

static void *take_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        throttle_take(&shared, 10000);
    return NULL;
}

static void threads_share_one_rate(void **state)
{
    pthread_t threads[4];

    (void)state;
    throttle_init(&shared, 1000000);
    throttle_stop(&shared);
    throttle_take(&shared, 3600 * UINT64_C(1000000));
    uint64_t start = shared.free_at_ns;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, take_many, NULL);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    CHECK(shared.free_at_ns - start == 40 * NS_PER_S, "40 s of bytes reserve %llu ns",
          (unsigned long long)(shared.free_at_ns - start));
    throttle_done(&shared);
}

/* Never faster than the rate: whatever else the machine does, that bound holds. */
static void waits_for_what_it_reserved(void **state)
{
    struct throttle t;
    uint64_t start = clock_ns();

    (void)state;
    throttle_init(&t, 10000000);
    for (int i = 0; i < 11; i++)
        throttle_take(&t, 100000); /* 10 ms each, the last one only reserved */
    CHECK(clock_ns() - start >= 100 * NS_PER_MS - CREDIT_MAX_NS, "100 ms of bytes took %llu ns",
          (unsigned long long)(clock_ns() - start));
    throttle_done(&t);
}

static void *take_an_hour(void *arg)
{
    struct throttle *t = arg;

    throttle_take(t, 3600);
    throttle_take(t, 1);
    return NULL;
}

static void stop_wakes_everyone(void **state)
{
    struct throttle t;
    pthread_t threads[3];

    (void)state;
    throttle_init(&t, 1);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, take_an_hour, &t);
    throttle_stop(&t); /* before, while or after they wait */
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    throttle_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_reserves_nothing),
        cmocka_unit_test(reserves_the_rate_exactly),
        cmocka_unit_test(idle_earns_a_little_credit_only),
        cmocka_unit_test(threads_share_one_rate),
        cmocka_unit_test(waits_for_what_it_reserved),
        cmocka_unit_test(stop_wakes_everyone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
