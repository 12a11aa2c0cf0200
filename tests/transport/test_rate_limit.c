/*
 * The arithmetic decides, not the machine's load: a stopped rate limit reserves without waiting,
 * and real waits are only compared with a lower bound.
 */
#include "transport/rate_limit.h"

#include <pthread.h>

#include "base/clock.h"
#include "tests/support/test.h"

#define CREDIT_MAX_NS (20 * NS_PER_MS)

/* The time at which everything that is reserved will have been sent. */
static uint64_t free_at_ns(const struct rate_limit *t)
{
    return t->since_ns + (uint64_t)((double)(t->reserved - t->since_at) * (double)NS_PER_S /
                                    (double)t->bytes_per_s);
}

static void no_limit_reserves_nothing(void **state)
{
    struct rate_limit t;

    (void)state;
    rate_limit_init(&t, 0);
    rate_limit_take(&t, UINT64_MAX);
    assert_int_equal(t.reserved, 0);
    rate_limit_done(&t);
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
        struct rate_limit t;
        double bytes = 0;

        rate_limit_init(&t, c->bytes_per_s);
        rate_limit_stop(&t);
        /* Far enough in the future that no credit is given during the test. */
        rate_limit_take(&t, c->bytes_per_s * 3600);
        uint64_t start = free_at_ns(&t);
        for (unsigned k = 0; k < c->n; k++) {
            uint64_t len = k % 2 ? c->large : c->small;

            rate_limit_take(&t, len);
            bytes += (double)len;
        }
        double rate = bytes / ((double)(free_at_ns(&t) - start) / (double)NS_PER_S);
        double off = rate / (double)c->bytes_per_s - 1;
        CHECK(off > -0.001 && off < 0.001, "%s: %.0f bytes/s are reserved, %.3f %% off", c->label,
              rate, off * 100);
        rate_limit_done(&t);
    }
}

static void idle_earns_a_little_credit_only(void **state)
{
    struct rate_limit t;

    (void)state;
    rate_limit_init(&t, 1000000);
    rate_limit_stop(&t);
    uint64_t before = clock_ns();
    rate_limit_take(&t, 1000000);
    uint64_t after = clock_ns();
    CHECK(free_at_ns(&t) >= before - CREDIT_MAX_NS + NS_PER_S, "more credit than 20 ms");
    CHECK(free_at_ns(&t) <= after + NS_PER_S, "an idle sender had to wait");
    rate_limit_done(&t);
}

static struct rate_limit shared;

static void *take_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        rate_limit_take(&shared, 10000);
    return NULL;
}

static void threads_share_one_rate(void **state)
{
    pthread_t threads[4];

    (void)state;
    rate_limit_init(&shared, 1000000);
    rate_limit_stop(&shared);
    rate_limit_take(&shared, 3600 * UINT64_C(1000000));
    uint64_t start = free_at_ns(&shared);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, take_many, NULL);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    CHECK(free_at_ns(&shared) - start == 40 * NS_PER_S, "40 s of bytes reserve %llu ns",
          (unsigned long long)(free_at_ns(&shared) - start));
    rate_limit_done(&shared);
}

/* Never faster than the rate: this bound holds whatever else the machine does. */
static void waits_for_what_it_reserved(void **state)
{
    struct rate_limit t;
    uint64_t start = clock_ns();

    (void)state;
    rate_limit_init(&t, 10000000);
    for (int i = 0; i < 11; i++)
        rate_limit_take(&t, 100000); /* 10 ms each, the last one only reserved */
    CHECK(clock_ns() - start >= 100 * NS_PER_MS - CREDIT_MAX_NS, "100 ms of bytes took %llu ns",
          (unsigned long long)(clock_ns() - start));
    rate_limit_done(&t);
}

/* Bytes that are reserved already also wait by the new rate. */
static const struct change_case {
    const char *label;
    uint64_t before, after; /* bytes/s */
    uint64_t reserved;      /* bytes */
    uint64_t want_ns;       /* from the change on */
} change_cases[] = {
    {"ten times faster", 1000, 10000, 3600000, 360 * NS_PER_S},
    {"ten times slower", 10000, 1000, 3600000, 3600 * NS_PER_S},
    {"the same", 1000, 1000, 3600000, 3600 * NS_PER_S},
    {"nothing reserved", 1000, 10, 0, 0},
};

static void a_new_rate_counts_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(change_cases); i++) {
        const struct change_case *c = &change_cases[i];
        struct rate_limit t;

        rate_limit_init(&t, c->before);
        rate_limit_stop(&t);
        rate_limit_take(&t, c->reserved);
        uint64_t before = clock_ns();
        rate_limit_set_rate(&t, c->after);
        /* The test itself may take a second, counted at either rate. */
        uint64_t off = NS_PER_S * MAX(c->before, c->after) / c->after;
        uint64_t at = free_at_ns(&t);
        CHECK(at + off >= before + c->want_ns && at <= clock_ns() + c->want_ns,
              "%s: free in %lld ms", c->label, (long long)(at - before) / (long long)NS_PER_MS);
        rate_limit_done(&t);
    }
}

static void *take_an_hour(void *arg)
{
    struct rate_limit *t = arg;

    rate_limit_take(t, 3600);
    rate_limit_take(t, 1);
    return NULL;
}

static void stop_wakes_everyone(void **state)
{
    struct rate_limit t;
    pthread_t threads[3];

    (void)state;
    rate_limit_init(&t, 1);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, take_an_hour, &t);
    rate_limit_stop(&t); /* before, while or after they wait */
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    rate_limit_done(&t);
}

/* A thread that reserves keeps the lock until it waits. */
static void await_reserved(struct rate_limit *t, uint64_t bytes)
{
    uint64_t reserved;

    do {
        pthread_mutex_lock(&t->lock);
        reserved = t->reserved;
        pthread_mutex_unlock(&t->lock);
    } while (reserved < bytes);
}

/* A thread that waits an hour by one rate is released by another rate, or by no limit. */
static void a_new_rate_wakes_who_waits(void **state)
{
    static const uint64_t rates[] = {0, 1000000000};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        struct rate_limit t;
        pthread_t thread;

        rate_limit_init(&t, 1);
        pthread_create(&thread, NULL, take_an_hour, &t);
        await_reserved(&t, 3601);
        rate_limit_set_rate(&t, rates[i]);
        pthread_join(thread, NULL);
        rate_limit_done(&t);
    }
}

/* Bytes that were sent without a limit do not delay anything when there is a limit again. */
static void a_limit_may_come_and_go(void **state)
{
    struct rate_limit t;

    (void)state;
    rate_limit_init(&t, 0);
    rate_limit_take(&t, UINT64_C(1) << 40);
    rate_limit_set_rate(&t, 1000);
    uint64_t before = clock_ns();
    rate_limit_take(&t, 1000);
    CHECK(free_at_ns(&t) <= clock_ns() + NS_PER_S, "what was free is charged for");
    rate_limit_set_rate(&t, 0);
    rate_limit_take(&t, UINT64_C(1) << 40);
    rate_limit_set_rate(&t, 1000);
    rate_limit_take(&t, 0);
    CHECK(clock_ns() - before < 600 * NS_PER_S, "somebody waited");
    rate_limit_done(&t);
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
        cmocka_unit_test(a_new_rate_counts_at_once),
        cmocka_unit_test(a_new_rate_wakes_who_waits),
        cmocka_unit_test(a_limit_may_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
