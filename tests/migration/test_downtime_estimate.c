#include "migration/downtime_estimate.h"

#include "tests/support/test.h"

#define S  UINT64_C(1000000000)
#define MI (UINT64_C(1) << 20)

static const struct measure_case {
    const char *label;
    struct {
        uint64_t bytes, ns;
    } rounds[3];
    double want; /* bytes/s */
} measure_cases[] = {
    {"nothing yet", {{0, 0}}, 0},
    {"one round", {{1000 * MI, S}}, 1000.0 * MI},
    {"the latest counts", {{1000 * MI, S}, {10 * MI, S / 10}}, 100.0 * MI},
    {"a tiny round says nothing", {{1000 * MI, S}, {4096, S}}, 1000.0 * MI},
    {"unless there is nothing else", {{4096, S}}, 4096},
    {"a round of no time", {{1000 * MI, S}, {1000 * MI, 0}}, 1000.0 * MI},
};

static void measures(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(measure_cases); i++) {
        const struct measure_case *c = &measure_cases[i];
        struct downtime_estimate p = {.downtime_limit_ms = 300};

        for (size_t k = 0; k < ARRAY_LEN(c->rounds); k++) {
            if (c->rounds[k].bytes)
                downtime_estimate_round(&p, c->rounds[k].bytes, c->rounds[k].ns);
        }
        CHECK(p.bytes_per_s > c->want - 1 && p.bytes_per_s < c->want + 1,
              "%s: %.0f bytes/s, expected %.0f", c->label, p.bytes_per_s, c->want);
    }
}

static const struct stop_case {
    const char *label;
    double bytes_per_s;
    uint64_t limit_ms, rest, want_ms;
    bool stop;
} stop_cases[] = {
    {"nothing left, nothing measured", 0, 300, 0, 0, true},
    {"nothing left, no time at all", 0, 0, 0, 0, true},
    {"something left, nothing measured", 0, 300, 1, UINT64_MAX, false},
    {"well below", 1e9, 300, 100000000, 100, true},
    {"exactly", 1e9, 300, 300000000, 300, true},
    {"a little over", 1e9, 300, 302000000, 302, false},
    {"no time at all", 1e9, 0, 4096000, 4, false},
    {"ages", 1, 300, UINT64_MAX, UINT64_MAX, false},
};

static void decides(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(stop_cases); i++) {
        const struct stop_case *c = &stop_cases[i];
        struct downtime_estimate p = {.downtime_limit_ms = c->limit_ms,
                                      .bytes_per_s = c->bytes_per_s};

        CHECK(downtime_estimate_ms(&p, c->rest) == c->want_ms, "%s: %llu ms, expected %llu",
              c->label, (unsigned long long)downtime_estimate_ms(&p, c->rest),
              (unsigned long long)c->want_ms);
        CHECK(downtime_estimate_allows_stop(&p, c->rest) == c->stop, "%s: decides otherwise",
              c->label);
    }
}

/* The user's figure for the bandwidth replaces the measured one; a new limit ends a measurement. */
static void follows_the_settings(void **state)
{
    struct runtime_parameters live = {.max_bytes_per_s = 100, .downtime_limit_ms = 300};
    struct downtime_estimate p = {0};

    (void)state;
    downtime_estimate_update(&p, &live);
    downtime_estimate_round(&p, 1000 * MI, S);
    downtime_estimate_update(&p, &live);
    CHECK(downtime_estimate_ms(&p, 100 * MI) == 100, "as measured");
    live.switchover_bytes_per_s = 10 * MI;
    downtime_estimate_update(&p, &live);
    CHECK(downtime_estimate_ms(&p, 100 * MI) == 10000 &&
              !downtime_estimate_allows_stop(&p, 100 * MI),
          "as said");
    live.downtime_limit_ms = 10000;
    downtime_estimate_update(&p, &live);
    CHECK(downtime_estimate_allows_stop(&p, 100 * MI), "more patience");
    live.switchover_bytes_per_s = 0;
    live.max_bytes_per_s = 200;
    downtime_estimate_update(&p, &live);
    CHECK(downtime_estimate_ms(&p, 1) == UINT64_MAX, "measured by another limit");
    downtime_estimate_round(&p, 500 * MI, S);
    downtime_estimate_update(&p, &live);
    CHECK(downtime_estimate_ms(&p, 100 * MI) == 200, "measured anew");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(measures), cmocka_unit_test(decides),
                                       cmocka_unit_test(follows_the_settings)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
