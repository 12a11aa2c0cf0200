/* Every setting that an engine uses arrives there, and changes nothing else. */
#include "migration/plan.h"

#include "compress/codec.h"
#include "tests/support/test.h"

#define MI (UINT64_C(1) << 20)

static struct settings said(const char *name, const char *value)
{
    struct settings s;
    struct refusal refusal;
    struct error err;

    settings_init(&s);
    OK(settings_say(&s, name, value, &refusal, &err), err, name);
    return s;
}

static const struct switch_case {
    const char *name;
    size_t offset; /* of a bool in struct source_config */
} switch_cases[] = {
    {"return-path", offsetof(struct source_config, return_path)},
    {"switchover-ack", offsetof(struct source_config, switchover_ack)},
    {"pause-before-switchover", offsetof(struct source_config, pause_before_switchover)},
    {"auto-converge", offsetof(struct source_config, auto_converge)},
    {"dirty-limit", offsetof(struct source_config, dirty_limit)},
    {"zero-copy-send", offsetof(struct source_config, connect.zero_copy)},
};

static void each_switch_is_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(switch_cases); i++) {
        struct settings s = said(switch_cases[i].name, "on");
        struct source_config config = {0};

        source_configure(&s, &config);
        for (size_t k = 0; k < ARRAY_LEN(switch_cases); k++) {
            bool on = *((bool *)&config + switch_cases[k].offset);

            CHECK(on == (k == i), "%s: %s is %s", switch_cases[i].name, switch_cases[k].name,
                  on ? "on" : "off");
        }
    }
}

static const struct live_case {
    const char *name, *value;
    struct runtime_parameters want; /* members that are not 0 differ from the defaults */
} live_cases[] = {
    {"max-bandwidth", "5M", {.max_bytes_per_s = 5 * MI}},
    {"downtime-limit", "77", {.downtime_limit_ms = 77}},
    {"avail-switchover-bandwidth", "1G", {.switchover_bytes_per_s = 1024 * MI}},
    {"throttle-trigger-threshold", "60", {.throttle_trigger_percent = 60}},
    {"cpu-throttle-initial", "33", {.throttle_initial_percent = 33}},
    {"cpu-throttle-increment", "7", {.throttle_increment_percent = 7}},
    {"max-cpu-throttle", "80", {.throttle_max_percent = 80}},
    {"cpu-throttle-tailslow", "on", {.throttle_tailslow = true}},
    {"vcpu-dirty-limit", "3", {.vcpu_dirty_bytes_per_s = 3 * MI}},
    {"vcpu-dirty-limit", "18446744073709551615", {.vcpu_dirty_bytes_per_s = UINT64_MAX}},
};

static uint64_t either(uint64_t wanted, uint64_t standard)
{
    return wanted ? wanted : standard;
}

static void what_is_live_arrives(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(live_cases); i++) {
        const struct runtime_parameters *want = &live_cases[i].want;
        const char *name = live_cases[i].name;
        struct settings s = said(name, live_cases[i].value);
        struct runtime_parameters live;

        runtime_parameters_of(&s, &live);
        /* The others are at QEMU's defaults. */
        CHECK(live.max_bytes_per_s == either(want->max_bytes_per_s, 128 * MI) &&
                  live.downtime_limit_ms == either(want->downtime_limit_ms, 300) &&
                  live.switchover_bytes_per_s == want->switchover_bytes_per_s,
              "%s: bandwidths and downtime", name);
        CHECK(live.throttle_trigger_percent == either(want->throttle_trigger_percent, 50) &&
                  live.throttle_initial_percent == either(want->throttle_initial_percent, 20) &&
                  live.throttle_increment_percent == either(want->throttle_increment_percent, 10) &&
                  live.throttle_max_percent == either(want->throttle_max_percent, 99) &&
                  live.throttle_tailslow == want->throttle_tailslow,
              "%s: throttle", name);
        CHECK(live.vcpu_dirty_bytes_per_s == either(want->vcpu_dirty_bytes_per_s, MI),
              "%s: dirty limit", name);
    }
}

/* Members that are no settings stay; a setting that is neither a runtime parameter nor
 * a switch arrives. */
static void the_callers_own_stays(void **state)
{
    struct settings s = said("multifd", "on");
    struct refusal refusal;
    struct error err;
    struct source_config config = {.connect.connect_timeout_ms = 5,
                                   .connect.stall_timeout_ms = 6,
                                   .uuid.bytes[0] = 7,
                                   .observer.arg = &s};

    (void)state;
    OK(settings_say(&s, "multifd-channels", "9", &refusal, &err), err, "channels");
    OK(settings_say(&s, "multifd-compression", "zlib", &refusal, &err), err, "method");
    OK(settings_say(&s, "multifd-zlib-level", "8", &refusal, &err), err, "level");
    source_configure(&s, &config);
    CHECK(config.n_channels == 9 && config.method == CODEC_ZLIB && config.level == 8,
          "channels, method, level");
    CHECK(config.connect.connect_timeout_ms == 5 && config.connect.stall_timeout_ms == 6 &&
              config.uuid.bytes[0] == 7 && config.observer.arg == &s,
          "the caller's own has changed");
}

static const struct destination_case {
    const char *name, *value; /* NULL: nothing is set */
    int n_channels, method;
    uint32_t capabilities;
    bool ack;
} destination_cases[] = {
    {NULL, NULL, -1, -1, 0, false},
    {"multifd", "off", 0, -1, 0, false},
    {"multifd", "on", 2, -1, 0, false},
    {"multifd-channels", "9", 0, -1, 0, false},
    {"multifd-compression", "none", -1, CODEC_NONE, 0, false},
    {"multifd-compression", "zlib", -1, CODEC_ZLIB, 0, false},
    {"x-ignore-shared", "on", -1, -1, STREAM_CAP_X_IGNORE_SHARED, false},
    {"mapped-ram", "on", -1, -1, STREAM_CAP_MAPPED_RAM, false},
    {"switchover-ack", "on", -1, -1, 0, true},
};

/* A destination insists on what was set explicitly, and on nothing else. */
static void what_is_said_is_pinned(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(destination_cases); i++) {
        const struct destination_case *c = &destination_cases[i];
        const char *label = c->name ? c->name : "nothing";
        struct destination_config config = {.uuid_may_lack = true, .file_threads = 7};
        struct settings s;

        settings_init(&s);
        if (c->name)
            s = said(c->name, c->value);
        destination_configure(&s, &config);
        CHECK(config.n_channels == c->n_channels && config.method == c->method,
              "%s: %d channels, method %d", label, config.n_channels, config.method);
        CHECK(config.capabilities == c->capabilities && config.switchover_ack == c->ack,
              "%s: capabilities %x, ack %d", label, config.capabilities, config.switchover_ack);
        CHECK(config.uuid_may_lack && config.file_threads == 7, "%s: the caller's own", label);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_switch_is_one),
        cmocka_unit_test(what_is_live_arrives),
        cmocka_unit_test(the_callers_own_stays),
        cmocka_unit_test(what_is_said_is_pinned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
