/* What a VM is told before it is saved, and what gives it back. */
#include "drive/save_settings.h"

#include "drive/settings_undo.h"
#include "tests/support/test.h"

/* A VM with these settings; free it with monitor_close(). */
static struct monitor vm(const char *has_on, const char *has_set)
{
    struct monitor m = {.name = "the VM", .version = "QEMU 7.2.0"};

    m.capabilities = json_loads(has_on, 0, NULL);
    m.parameters = json_loads(has_set, 0, NULL);
    assert_true(m.capabilities && m.parameters);
    return m;
}

#define ON(list)  "{\"capabilities\": [" list "]}"
#define CAP(name) "{\"capability\": \"" name "\", \"state\": true}"
#define OFF(name) "{\"capability\": \"" name "\", \"state\": false}"

static const struct undo_case {
    const char *label;
    const char *has_on, *has_set;              /* before */
    const char *made_off, *made_set, *made_on; /* the changes */
    const char *off, *parameters, *on;         /* what gives it back; NULL: nothing */
} undo_cases[] = {
    {.label = "nothing was made", .has_on = "{}", .has_set = "{}"},
    {.label = "nothing differs",
     .has_on = "{\"multifd\": true, \"xbzrle\": false}",
     .has_set = "{\"multifd-channels\": 2}",
     .made_off = ON(OFF("xbzrle")),
     .made_set = "{\"multifd-channels\": 2}",
     .made_on = ON(CAP("multifd"))},
    {.label = "all differs",
     .has_on = "{\"multifd\": false, \"xbzrle\": true}",
     .has_set = "{\"multifd-channels\": 9, \"tls-creds\": \"tls0\", \"direct-io\": false}",
     .made_off = ON(OFF("xbzrle")),
     .made_set = "{\"multifd-channels\": 2, \"tls-creds\": \"\", \"direct-io\": true}",
     .made_on = ON(CAP("multifd")),
     .off = ON(OFF("multifd")),
     .parameters = "{\"multifd-channels\": 9, \"tls-creds\": \"tls0\", \"direct-io\": false}",
     .on = ON(CAP("xbzrle"))},
    {.label = "a text that was not set; another value that the VM does not show",
     .has_on = "{}",
     .has_set = "{}",
     .made_set = "{\"tls-hostname\": \"there\", \"multifd-channels\": 2}",
     .parameters = "{\"tls-hostname\": \"\"}"},
};

static void check_json(const char *label, const json_t *found, const char *want)
{
    json_auto_t *wanted = want ? json_loads(want, 0, NULL) : NULL;

    if (want ? json_equal(found, wanted) : !found)
        return;
    char *text = json_dumps(found, JSON_COMPACT);
    fail_msg("%s: %s, want %s", label, text ? text : "nothing", want ? want : "nothing");
}

static void undo(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(undo_cases); i++) {
        const struct undo_case *c = &undo_cases[i];
        struct monitor m = vm(c->has_on, c->has_set);
        struct migrate_changes back,
            made = {
                .off = c->made_off ? json_loads(c->made_off, 0, NULL) : NULL,
                .parameters = c->made_set ? json_loads(c->made_set, 0, NULL) : NULL,
                .on = c->made_on ? json_loads(c->made_on, 0, NULL) : NULL,
            };

        settings_undo_of(&made, &m, &back);
        check_json(c->label, back.off, c->off);
        check_json(c->label, back.parameters, c->parameters);
        check_json(c->label, back.on, c->on);
        migrate_changes_done(&made);
        migrate_changes_done(&back);
        monitor_close(&m);
    }
}

static struct settings of(const char *name, const char *value)
{
    struct refusal refusal;
    struct settings s;
    struct error err;

    settings_init(&s);
    if (name)
        OK(settings_say(&s, name, value, &refusal, &err), err, name);
    return s;
}

static bool says_off(const struct settings *s, enum capability id)
{
    return settings_explicit_capability(s, id) && !settings_on(s, id);
}

static void adds(void **state)
{
    struct monitor m = vm("{}", "{\"mode\": \"cpr-reboot\", \"tls-creds\": \"tls0\"}");
    struct settings s = of(NULL, NULL);
    struct error err;

    (void)state;
    OK(save_settings(&s, &m, false, &err), err, "nothing said");
    CHECK(says_off(&s, CAP_POSTCOPY_RAM) && says_off(&s, CAP_X_IGNORE_SHARED) &&
              says_off(&s, CAP_MAPPED_RAM) && says_off(&s, CAP_SWITCHOVER_ACK) &&
              !settings_explicit_capability(&s, CAP_AUTO_CONVERGE),
          "capabilities %llx, said %llx", (unsigned long long)s.capabilities,
          (unsigned long long)s.explicit_capabilities);
    CHECK(settings_explicit(&s, PARAM_MODE) && settings_number(&s, PARAM_MODE) == MODE_NORMAL,
          "the mode is left");
    assert_string_equal(save_tls_creds(&m), "");

    s = of("x-ignore-shared", "on");
    OK(save_settings(&s, &m, true, &err), err, "by the VM");
    CHECK(settings_on(&s, CAP_X_IGNORE_SHARED) && settings_on(&s, CAP_MAPPED_RAM) &&
              says_off(&s, CAP_RETURN_PATH),
          "capabilities %llx", (unsigned long long)s.capabilities);
    monitor_close(&m);

    m = vm("{}", "{\"mode\": \"normal\", \"tls-creds\": \"\"}");
    s = of(NULL, NULL);
    OK(save_settings(&s, &m, false, &err), err, "an ordinary VM");
    CHECK(!settings_explicit(&s, PARAM_MODE) && !save_tls_creds(&m), "too much is set");
    monitor_close(&m);
}

static void refuses(void **state)
{
    struct monitor m = vm("{}", "{}");
    struct settings tls = of("tls-creds", "tls0"), packed = of("multifd-compression", "zlib");
    struct error err;

    (void)state;
    check_refused("TLS", save_settings(&tls, &m, false, &err), &err, ERR_USAGE, "without TLS");
    check_refused("a method", save_settings(&packed, &m, true, &err), &err, ERR_USAGE,
                  "cannot be compressed");
    OK(save_settings(&packed, &m, false, &err), err, "on the way");
    monitor_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(undo),
        cmocka_unit_test(adds),
        cmocka_unit_test(refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
