#include "migration/stats.h"

#include "base/clock.h"
#include "tests/support/test.h"

static const struct remaining_case {
    const char *label;
    uint64_t round, start, normal, zero, want_pages;
} remaining_cases[] = {
    {"nothing begun", 0, 0, 0, 0, 0},
    {"at the start", 100, 0, 0, 0, 100},
    {"half-way", 100, 0, 30, 20, 50},
    {"done", 100, 0, 50, 50, 0},
    {"more than planned", 100, 0, 90, 90, 0},
    {"the second round", 10, 100, 105, 0, 5},
    {"a look before the round", 10, 100, 98, 0, 10},
};

static void tells_what_remains(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(remaining_cases); i++) {
        const struct remaining_case *c = &remaining_cases[i];
        struct migration_stats s = {.round_pages = c->round, .round_start_pages = c->start};
        struct migration_snapshot snap;

        migration_stats_read(&s, &snap);
        snap.normal = c->normal;
        snap.zero = c->zero;
        migration_snapshot_remaining(&s, &snap);
        CHECK(snap.remaining_bytes == c->want_pages * 4096, "%s: %llu bytes", c->label,
              (unsigned long long)snap.remaining_bytes);
    }
}

static void times_are_between_points(void **state)
{
    struct migration_stats s = {.status = MIGRATION_COMPLETED,
                                .start_ns = 1000000000,
                                .setup_done_ns = 1250000000,
                                .end_ns = 4000000000,
                                .downtime_ns = 42000000};
    struct migration_snapshot snap;

    (void)state;
    migration_stats_read(&s, &snap);
    CHECK(snap.total_ms == 3000 && snap.setup_ms == 250 && snap.downtime_ms == 42, "other times");
    s = (struct migration_stats){0};
    migration_stats_read(&s, &snap);
    CHECK(snap.total_ms == 0 && snap.setup_ms == 0, "times before the start");
}

static void names_are_qemus(void **state)
{
    static const char *const want[MIGRATION_STATUS_N] = {
        "none",      "setup",  "active",     "pre-switchover", "device", "postcopy-active",
        "completed", "failed", "cancelling", "cancelled"};

    (void)state;
    for (unsigned i = 0; i < MIGRATION_STATUS_N; i++)
        assert_string_equal(migration_status_name((enum migration_status)i), want[i]);
}

/* Rates of the first second count from the start, later ones from the last look; at the end they
 * cover everything. */
static void rates_are_of_late(void **state)
{
    struct migration_stats s = {.start_ns = clock_ns() - 10 * NS_PER_S};
    struct migration_snapshot snap = {.wire_bytes = 1000, .normal = 60, .zero = 40};
    struct migration_meter meter = {0}, before;

    (void)state;
    migration_snapshot_rates(&s, &meter, &snap);
    CHECK(snap.wire_bytes_per_s > 90 && snap.wire_bytes_per_s <= 100, "%llu bytes/s",
          (unsigned long long)snap.wire_bytes_per_s);
    meter.at_ns -= 2 * NS_PER_S; /* as if two seconds had passed */
    snap.wire_bytes = 5000;
    snap.normal = 160;
    migration_snapshot_rates(&s, &meter, &snap);
    CHECK(snap.wire_bytes_per_s > 1800 && snap.wire_bytes_per_s <= 2000 &&
              snap.pages_per_second > 40 && snap.pages_per_second <= 50,
          "%llu bytes/s, %llu pages/s", (unsigned long long)snap.wire_bytes_per_s,
          (unsigned long long)snap.pages_per_second);
    before = meter;
    snap.wire_bytes = 5001; /* too soon for another look */
    migration_snapshot_rates(&s, &meter, &snap);
    CHECK(memcmp(&before, &meter, sizeof(meter)) == 0 && snap.wire_bytes_per_s > 1800, "too soon");
    s.end_ns = s.start_ns + NS_PER_S;
    migration_snapshot_rates(&s, &meter, &snap);
    CHECK(snap.wire_bytes_per_s == 5001 && snap.pages_per_second == 200, "the whole");
    s.start_ns = 0;
    snap = (struct migration_snapshot){0};
    migration_snapshot_rates(&s, &meter, &snap);
    CHECK(snap.wire_bytes_per_s == 0, "before the start");
}

static void main_is_divided_where_the_guest_stopped(void **state)
{
    struct migration_stats s = {0};
    struct migration_snapshot snap;

    (void)state;
    migration_snapshot_main(&s, 700, &snap);
    CHECK(snap.precopy_bytes == 700 && snap.downtime_bytes == 0, "it runs");
    s.stopped_at_bytes = 700;
    s.stopped = true;
    migration_snapshot_main(&s, 1000, &snap);
    CHECK(snap.precopy_bytes == 700 && snap.downtime_bytes == 300, "it is stopped");
    migration_snapshot_main(&s, 600, &snap); /* main was looked at before */
    CHECK(snap.precopy_bytes == 600 && snap.downtime_bytes == 0, "it has been stopped since");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_remains),
        cmocka_unit_test(times_are_between_points),
        cmocka_unit_test(names_are_qemus),
        cmocka_unit_test(rates_are_of_late),
        cmocka_unit_test(main_is_divided_where_the_guest_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
