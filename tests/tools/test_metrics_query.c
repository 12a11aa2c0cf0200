#include "tools/metrics_query.h"

#include "tests/support/test.h"

static struct migration_snapshot read_text(const char *text)
{
    struct migration_snapshot s;
    json_t *json = json_loads(text, 0, NULL);

    CHECK(json, "no JSON: %s", text);
    metrics_query_read(json, &s);
    json_decref(json);
    return s;
}

static void a_migration_under_way(void **state)
{
    struct migration_snapshot s =
        read_text("{\"status\": \"active\", \"total-time\": 1500, \"setup-time\": 3,"
                  " \"expected-downtime\": 300, \"cpu-throttle-percentage\": 20,"
                  " \"ram\": {\"transferred\": 9, \"remaining\": 8, \"total\": 7, \"normal\": 6,"
                  " \"duplicate\": 5, \"page-size\": 16384, \"dirty-pages-rate\": 2,"
                  " \"dirty-sync-count\": 4, \"multifd-bytes\": 3},"
                  " \"channels\": [{\"id\": 0, \"bytes\": 1}, {\"id\": 0, \"zero\": 2}]}");

    (void)state;
    CHECK(s.status == MIGRATION_ACTIVE && s.total_ms == 1500 && s.setup_ms == 3, "times");
    CHECK(s.expected_downtime_ms == 300 && s.throttle_percent == 20 && s.rounds == 4, "ahead");
    CHECK(s.wire_bytes == 9 && s.remaining_bytes == 8 && s.total_bytes == 7, "bytes");
    CHECK(s.normal == 6 && s.zero == 5 && s.multifd_bytes == 3, "pages");
    CHECK(s.dirty_pages_per_s == 8, "pages of 16 KiB: %llu",
          (unsigned long long)s.dirty_pages_per_s);
    CHECK(s.n_channels == 2 && s.channels[0].bytes == 1 && s.channels[1].zero == 2, "channels");
    CHECK(s.channels[1].id == 1, "an id is never there twice: %u", s.channels[1].id);
}

static const struct odd {
    const char *label, *text;
    enum migration_status status;
} odds[] = {
    {"nothing", "{}", MIGRATION_NONE},
    {"no object", "[1]", MIGRATION_NONE},
    {"another status", "{\"status\": \"postcopy-paused\"}", MIGRATION_ACTIVE},
    {"a status that is no text", "{\"status\": 7}", MIGRATION_NONE},
    {"other kinds", "{\"status\": \"failed\", \"ram\": 1, \"channels\": {}, \"total-time\": \"x\"}",
     MIGRATION_FAILED},
    {"negative", "{\"status\": \"completed\", \"downtime\": -1, \"ram\": {\"total\": -1}}",
     MIGRATION_COMPLETED},
    {"channels that are none", "{\"channels\": [1, null, \"x\"]}", MIGRATION_NONE},
};

/* Whatever a monitor says, it is read, and what is not known is 0. */
static void what_a_monitor_may_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(odds); i++) {
        struct migration_snapshot s = read_text(odds[i].text);

        CHECK(s.status == odds[i].status, "%s: status %d", odds[i].label, s.status);
        CHECK(s.total_ms == 0 && s.downtime_ms == 0 && s.total_bytes == 0, "%s: figures",
              odds[i].label);
        CHECK(s.expected_downtime_ms == UINT64_MAX, "%s: nobody knows it", odds[i].label);
    }
}

static void too_many_channels(void **state)
{
    json_t *root = json_object(), *list = json_array();
    struct migration_snapshot s;

    (void)state;
    for (int i = 0; i < 1000; i++)
        json_array_append_new(list, json_object());
    json_object_set_new(root, "channels", list);
    metrics_query_read(root, &s);
    json_decref(root);
    CHECK(s.n_channels == MULTIFD_CHANNELS_MAX, "%zu", s.n_channels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_migration_under_way),
        cmocka_unit_test(what_a_monitor_may_say),
        cmocka_unit_test(too_many_channels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
