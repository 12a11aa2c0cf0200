#include "migration/stats.h"

#include "tests/support/test.h"

static const struct remaining_case {
    const char *label;
    uint64_t round, start, normal, zero, want_pages;
} remaining_cases[] = {
    {"nothing begun", 0, 0, 0, 0, 0},         {"at the start", 100, 0, 0, 0, 100},
    {"half-way", 100, 0, 30, 20, 50},         {"done", 100, 0, 50, 50, 0},
    {"more than planned", 100, 0, 90, 90, 0}, {"the second round", 10, 100, 105, 0, 5},
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
        "none",      "setup",  "active",     "pre-switchover", "device",
        "completed", "failed", "cancelling", "cancelled"};

    (void)state;
    for (unsigned i = 0; i < MIGRATION_STATUS_N; i++)
        assert_string_equal(migration_status_name((enum migration_status)i), want[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_remains),
        cmocka_unit_test(times_are_between_points),
        cmocka_unit_test(names_are_qemus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
