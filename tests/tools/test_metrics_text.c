#include "tools/metrics_text.h"

#include "compress/codec.h"
#include "tests/support/test.h"

static struct metrics some;

/* The text, as a string that the caller frees. */
static char *text_of(const struct metrics *m)
{
    struct buf b = {0};
    struct error err;

    OK(metrics_text(m, &b, &err), err, "text");
    OK(buf_append(&b, "", 1, &err), err, "its end");
    return (char *)b.data;
}

static void fill(void)
{
    some = (struct metrics){
        .verb = "recv", .version = "0.1.0", .completed = 3, .failed = 2, .cancelled = 1};
    some.now = (struct migration_snapshot){
        .status = MIGRATION_ACTIVE,
        .total_ms = 12345,
        .downtime_ms = 7,
        .expected_downtime_ms = UINT64_MAX,
        .total_bytes = 1 << 30,
        .normal = 10,
        .zero = 20,
        .wire_bytes = UINT64_MAX,
        .dirty_pages_per_s = 2,
        .throttle_percent = 99,
        .path = {.engine = "socket", .method = CODEC_ZSTD, .tls = "TLSv1.3 TLS_AES_128_GCM_SHA256"},
        .n_channels = 2,
    };
    some.now.channels[0] = (struct channel_snapshot){.id = 0, .bytes = 5, .wait_ms = 1001};
    some.now.channels[1] = (struct channel_snapshot){.id = 1, .normal = 6, .zero = 7};
}

static const char *const lines[] = {
    "ramjet_build_info{verb=\"recv\",version=\"0.1.0\"} 1",
    "ramjet_migrations_total{result=\"completed\"} 3",
    "ramjet_migrations_total{result=\"failed\"} 2",
    "ramjet_migrations_total{result=\"cancelled\"} 1",
    "ramjet_migration_status{status=\"active\"} 1",
    "ramjet_migration_status{status=\"completed\"} 0",
    ("ramjet_migration_path_info{engine=\"socket\",compression=\"zstd\",tls=\"TLSv1.3 "
     "TLS_AES_128_GCM_SHA256\"} 1"),
    "ramjet_migration_duration_seconds 12.345",
    "ramjet_migration_downtime_seconds 0.007",
    "ramjet_migration_ram_bytes 1073741824",
    "ramjet_migration_transferred_bytes_total 18446744073709551615",
    "ramjet_migration_dirty_bytes_per_second 8192",
    "ramjet_migration_throttle_ratio 0.99",
    "ramjet_migration_pages_total{kind=\"normal\"} 10",
    "ramjet_migration_pages_total{kind=\"zero\"} 20",
    "ramjet_channel_bytes_total{channel=\"0\"} 5",
    "ramjet_channel_wait_seconds_total{channel=\"0\"} 1.001",
    "ramjet_channel_pages_total{channel=\"1\",kind=\"normal\"} 6",
    "ramjet_channel_pages_total{channel=\"1\",kind=\"zero\"} 7",
};

static void every_figure_is_there(void **state)
{
    (void)state;
    fill();
    char *text = text_of(&some);

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char line[200];

        snprintf(line, sizeof(line), "\n%s\n", lines[i]);
        CHECK(strstr(text, line), "no line '%s' in:\n%s", lines[i], text);
    }
    CHECK(!strstr(text, "\nramjet_migration_expected_downtime_seconds "), "nobody knows it");
    CHECK(text[strlen(text) - 1] == '\n', "its end");
    free(text);
    some.now.expected_downtime_ms = 250;
    text = text_of(&some);
    CHECK(strstr(text, "\nramjet_migration_expected_downtime_seconds 0.250\n"), "%s", text);
    free(text);
}

/* Each metric has its help and its type once, before its first value. */
static void every_metric_is_declared(void **state)
{
    char *text, *rest, *line;
    char declared[100] = "";
    unsigned n = 0;

    (void)state;
    fill();
    rest = text = text_of(&some);
    while ((line = strsep(&rest, "\n")) && line[0]) {
        char name[100], type[20];

        if (sscanf(line, "# HELP %99s", name) == 1)
            continue;
        if (sscanf(line, "# TYPE %99s %19s", declared, type) == 2) {
            size_t len = strlen(declared);
            bool total = len > 6 && strcmp(declared + len - 6, "_total") == 0;

            CHECK(total == (strcmp(type, "counter") == 0), "%s is a %s", declared, type);
            n++;
            continue;
        }
        CHECK(sscanf(line, "%99[a-z0-9_]", name) == 1, "line '%s'", line);
        CHECK(strcmp(name, declared) == 0, "'%s' under '%s'", name, declared);
    }
    CHECK(n > 20, "%u metrics", n);
    free(text);
}

/* Before the first migration, and with as many channels as there can be. */
static void any_state_has_a_text(void **state)
{
    (void)state;
    fill();
    some.now = (struct migration_snapshot){.path = {.method = -1}};
    char *text = text_of(&some);
    CHECK(strstr(text, "{status=\"none\"} 1\n") && !strstr(text, "path_info{"), "%s", text);
    free(text);
    some.now.n_channels = MULTIFD_CHANNELS_MAX;
    some.now.channels[MULTIFD_CHANNELS_MAX - 1].id = 254;
    text = text_of(&some);
    CHECK(strstr(text, "ramjet_channel_bytes_total{channel=\"254\"} 0\n"), "the last channel");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_figure_is_there),
        cmocka_unit_test(every_metric_is_declared),
        cmocka_unit_test(any_state_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
