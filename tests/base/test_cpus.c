#include "base/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdlib.h>

#include "tests/support/test.h"

static cpu_set_t allowed(void)
{
    cpu_set_t set;

    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    return set;
}

static unsigned first_of(const cpu_set_t *set)
{
    unsigned cpu = 0;

    while (!CPU_ISSET(cpu, set))
        cpu++;
    return cpu;
}

struct quota {
    const char *text;
    unsigned want;
};

static const struct quota quotas[] = {
    {"max 100000\n", UINT_MAX}, {"100000 100000\n", 1},
    {"150000 100000\n", 2},     {"1600000 100000", 16},
    {"50000 100000", 1},        {"", UINT_MAX},
    {"100000", UINT_MAX},       {"1 0", UINT_MAX},
    {"0 100000", UINT_MAX},     {"18446744073709551615 1", UINT_MAX},
};

static void reads_a_quota(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(quotas); i++) {
        unsigned got = cpus_of_quota(quotas[i].text);

        CHECK(got == quotas[i].want, "'%s': %u, expected %u", quotas[i].text, got, quotas[i].want);
    }
}

/* A thread that may use one CPU counts one, however many the machine has. */
static void counts_what_it_may_use(void **state)
{
    cpu_set_t before = allowed(), one;

    (void)state;
    CHECK(cpus_usable() >= 1 && cpus_usable() <= (unsigned)CPU_COUNT(&before), "%u CPUs",
          cpus_usable());
    CPU_ZERO(&one);
    CPU_SET(first_of(&before), &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    unsigned n = cpus_usable();
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    CHECK(n == 1, "%u CPUs, expected 1", n);
}

/* Threads are spread over the places in turn; without places no thread is moved. */
static void puts_threads_on_places(void **state)
{
    cpu_set_t before = allowed(), now;
    struct cpu_places *places;
    struct error err;
    char list[64];

    (void)state;
    snprintf(list, sizeof(list), "%u,%u-%u", first_of(&before), first_of(&before),
             first_of(&before));
    OK(cpu_places_parse(list, &places, &err), err, list);
    cpu_places_take(places, 5);
    now = allowed();
    CHECK(CPU_COUNT(&now) == 1 && CPU_ISSET(first_of(&before), &now), "it is elsewhere");
    cpu_places_free(places);

    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    OK(cpu_places_parse("auto", &places, &err), err, "auto");
    assert_null(places);
    cpu_places_take(places, 0);
    now = allowed();
    assert_true(CPU_EQUAL(&before, &now));
    cpu_places_free(places);

    OK(cpu_places_parse("numa", &places, &err), err, "numa");
    assert_non_null(places);
    cpu_places_take(places, 0);
    now = allowed();
    assert_in_range(CPU_COUNT(&now), 1, CPU_COUNT(&before));
    cpu_places_free(places);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static const char *const bad[] = {"",   "x",   "0,", ",0",    "1-0",         "0-",     "-1",  " 0",
                                  "0 ", "0x1", "+0", "numa1", "99999999999", "0-1024", "1024"};

static void refuses(void **state)
{
    struct cpu_places *places;
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check_refused(bad[i], cpu_places_parse(bad[i], &places, &err), &err, ERR_USAGE,
                      "expected auto, numa, or a list");
    check_refused("a CPU that is not there", cpu_places_parse("1023", &places, &err), &err,
                  ERR_USAGE, "CPU 1023 does not exist");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_quota),
        cmocka_unit_test(counts_what_it_may_use),
        cmocka_unit_test(puts_threads_on_places),
        cmocka_unit_test(refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
