#include "tools/migrate_report.h"

#include "tests/support/test.h"

#define RAM                                                                                        \
    "\"ram\": {\"transferred\": 5000000000, \"remaining\": 2500000, \"page-size\": 4096, "         \
    "\"dirty-pages-rate\": 1000, \"dirty-sync-count\": 3}"

static const struct line_case {
    const char *label, *before, *now, *want;
} line_cases[] = {
    {"nothing yet", "{}", "{}", "starting"},
    {"no figures yet", "{}", "{\"status\": \"setup\"}", "setup"},
    {"the first look", "{}", "{\"status\": \"active\", " RAM "}",
     "active round 3, 2.50 GB/s, 2.50 MB left, dirty 4.10 MB/s"},
    {"since the last", "{\"ram\": {\"transferred\": 3000000000}}",
     "{\"status\": \"active\", \"expected-downtime\": 310, \"cpu-throttle-percentage\": 20, " RAM
     "}",
     "active round 3, 1.00 GB/s, 2.50 MB left, dirty 4.10 MB/s, downtime would be 310 ms, "
     "vCPUs slowed by 20 %"},
    {"fewer bytes than before", "{\"ram\": {\"transferred\": 9000000000}}",
     "{\"status\": \"active\", " RAM "}", "active round 3, 0 B/s, 2.50 MB left, dirty 4.10 MB/s"},
    {"nonsense", "{\"ram\": 7}",
     "{\"status\": \"a\\u0007b\", \"ram\": {\"transferred\": -1, \"remaining\": \"x\", "
     "\"dirty-pages-rate\": 1e300}}",
     "a?b round 0, 0 B/s, 0 B left"},
    {"the first round", "{}",
     "{\"status\": \"active\", \"ram\": {\"remaining\": 70000, \"dirty-pages-rate\": 0, "
     "\"dirty-sync-count\": 1}}",
     "active round 1, 0 B/s, 70.0 kB left"},
    {"a status without end", "{}",
     "{\"status\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
};

static void lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(line_cases); i++) {
        const struct line_case *c = &line_cases[i];
        json_auto_t *before = json_loads(c->before, 0, NULL), *now = json_loads(c->now, 0, NULL);
        char line[LIVE_LINE_LEN];
        struct live_line parts;

        CHECK(before && now, "%s", c->label);
        migrate_line(before, now, 2000, &parts);
        live_line_text(&parts, 0, line);
        if (strcmp(line, c->want) != 0)
            fail_msg("%s: '%s', want '%s'", c->label, line, c->want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
