#include "drive/migrate_settings.h"

#include "tests/support/test.h"

#define CAPABILITIES                                                                               \
    "{\"multifd\": false, \"return-path\": false, \"zero-copy-send\": false, \"events\": false, "  \
    "\"auto-converge\": false, \"postcopy-blocktime\": false, \"postcopy-ram\": false}"
#define PARAMETERS                                                                                 \
    "{\"multifd-channels\": 2, \"multifd-compression\": \"none\", \"max-bandwidth\": 134217728, "  \
    "\"multifd-zlib-level\": 1, \"downtime-limit\": 300, \"cpu-throttle-tailslow\": false}"

/* A VM with these settings; free it with monitor_close(). */
static struct monitor vm(const char *name, const char *has_on, const char *has_set)
{
    struct monitor m = {.name = name, .version = "QEMU 7.2.0"};

    m.capabilities = json_loads(has_on, 0, NULL);
    m.parameters = json_loads(has_set, 0, NULL);
    assert_true(m.capabilities && m.parameters);
    return m;
}

/* The defaults of ramjet migrate. */
static struct settings defaults(void)
{
    struct settings s;

    settings_init(&s);
    s.capabilities = IN_SET(CAP_MULTIFD) | IN_SET(CAP_RETURN_PATH);
    s.parameters[PARAM_MAX_BANDWIDTH].number = 0;
    return s;
}

static void say(struct settings *s, const char *const (*words)[2])
{
    for (; (*words)[0]; words++) {
        struct refusal refusal;
        struct error err;

        OK(settings_say(s, (*words)[0], (*words)[1], &refusal, &err), err, (*words)[0]);
    }
}

static void check_json(const char *label, const char *which, const json_t *found, const char *want)
{
    json_auto_t *wanted = want ? json_loads(want, 0, NULL) : NULL;

    if (want ? !json_equal(found, wanted) : found != NULL) {
        char *text = json_dumps(found, JSON_COMPACT);

        fail_msg("%s: %s: %s, want %s", label, which, text ? text : "nothing", want);
    }
}

#define ON(list)   "{\"capabilities\": [" list "]}"
#define CAP(name)  "{\"capability\": \"" name "\", \"state\": true}"
#define OFF(name)  "{\"capability\": \"" name "\", \"state\": false}"
#define BASIC      CAP("return-path") "," CAP("multifd")
#define ALIKE      "\"multifd-channels\": 2, \"multifd-compression\": \"none\""
#define MORE_WORDS 6

static const struct change_case {
    const char *label;
    const char *words[MORE_WORDS][2];
    const char *tls;
    enum migrate_end end;
    const char *off, *parameters, *on, *refused;
} change_cases[] = {
    {.label = "nothing said, at the source",
     .off = ON(OFF("zero-copy-send")),
     .parameters = "{" ALIKE ", \"max-bandwidth\": 0}",
     .on = ON(BASIC)},
    {.label = "nothing said, at the destination",
     .end = END_TO,
     .parameters = "{" ALIKE "}",
     .on = ON(BASIC)},
    {.label = "the source's only",
     .words = {{"auto-converge", "on"}, {"multifd-zlib-level", "3"}, {"downtime-limit", "50"}},
     .end = END_TO,
     .parameters = "{" ALIKE "}",
     .on = ON(BASIC)},
    {.label = "the destination's only",
     .words = {{"postcopy-blocktime", "on"}},
     .off = ON(OFF("zero-copy-send")),
     .parameters = "{" ALIKE ", \"max-bandwidth\": 0}",
     .on = ON(BASIC)},
    {.label = "all kinds of values",
     .words = {{"cpu-throttle-tailslow", "on"},
               {"multifd-compression", "zlib"},
               {"max-bandwidth", "1G"},
               {"multifd-channels", "9"},
               {"tls-hostname", "x"}},
     .off = ON(OFF("zero-copy-send")),
     .parameters = "{\"cpu-throttle-tailslow\": true, \"multifd-compression\": \"zlib\", "
                   "\"max-bandwidth\": 1073741824, \"multifd-channels\": 9, \"tls-hostname\": "
                   "\"x\"}",
     .on = ON(BASIC)},
    {.label = "for each",
     .words = {{"events", "on"}},
     .end = END_TO,
     .parameters = "{" ALIKE "}",
     .on = ON(CAP("events") "," BASIC)},
    {.label = "credentials",
     .words = {{"tls-creds", "ignored"}},
     .tls = "id0",
     .end = END_TO,
     .parameters = "{" ALIKE ", \"tls-creds\": \"id0\"}",
     .on = ON(BASIC)},
    {.label = "switched off",
     .words = {{"multifd", "off"}, {"events", "off"}},
     .end = END_TO,
     .off = ON(OFF("events") "," OFF("multifd")),
     .parameters = "{" ALIKE "}",
     .on = ON(CAP("return-path"))},
    {.label = "unknown and off",
     .words = {{"switchover-ack", "off"}},
     .end = END_TO,
     .parameters = "{" ALIKE "}",
     .on = ON(BASIC)},
    {.label = "unknown capability",
     .words = {{"switchover-ack", "on"}},
     .end = END_TO,
     .refused = "TO (QEMU 7.2.0) has no capability switchover-ack: QEMU has it since 8.1"},
    {.label = "removed", .words = {{"compress", "on"}}, .refused = "since 2.4, removed in 9.1"},
    {.label = "unknown parameter",
     .words = {{"avail-switchover-bandwidth", "5"}},
     .refused = "TO (QEMU 7.2.0) has no parameter avail-switchover-bandwidth"},
    {.label = "no such number in JSON",
     .words = {{"max-bandwidth", "18446744073709551615"}},
     .refused = "max-bandwidth: no value"},
};

static void changes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(change_cases); i++) {
        const struct change_case *c = &change_cases[i];
        struct monitor m = vm("TO", CAPABILITIES, PARAMETERS);
        struct settings s = defaults();
        struct migrate_changes found;
        struct error err;

        say(&s, c->words);
        int rc = migrate_changes(&s, c->end, c->tls, &m, &found, &err);
        CHECK(rc == (c->refused ? -1 : 0), "%s", c->label);
        if (c->refused && !strstr(err.text, c->refused))
            fail_msg("%s: want '%s' in: %s", c->label, c->refused, err.text);
        if (!c->refused) {
            check_json(c->label, "off", found.off, c->off);
            check_json(c->label, "parameters", found.parameters, c->parameters);
            check_json(c->label, "on", found.on, c->on);
        }
        migrate_changes_done(&found);
        monitor_close(&m);
    }
}

static void adopting(void **state)
{
    struct monitor m = vm("TO", "{\"multifd\": true}",
                          "{\"multifd-channels\": 5, \"multifd-compression\": \"zlib\"}");
    struct monitor odd =
        vm("TO", "{}", "{\"multifd-channels\": 0, \"multifd-compression\": \"lz77\"}");
    struct settings s = defaults(), said = defaults(), none = defaults();

    (void)state;
    migrate_settings_adopt(&s, &m);
    CHECK(settings_channels(&s) == 5 && settings_number(&s, PARAM_MULTIFD_COMPRESSION) == 1,
          "what it has");
    say(&said, (const char *const[][2]){
                   {"multifd", "off"}, {"multifd-compression", "none"}, {NULL, NULL}});
    migrate_settings_adopt(&said, &m);
    CHECK(settings_channels(&said) == 0 && settings_number(&said, PARAM_MULTIFD_COMPRESSION) == 0,
          "what was said stays");
    migrate_settings_adopt(&none, &odd);
    CHECK(!settings_on(&none, CAP_MULTIFD) && settings_number(&none, PARAM_MULTIFD_CHANNELS) == 2,
          "what cannot be is left");
    monitor_close(&m);
    monitor_close(&odd);
}

static const struct alike_case {
    const char *label, *from[2], *to[2], *refused;
} alike_cases[] = {
    {"empty", {"{}", "{}"}, {"{}", "{}"}, NULL},
    {"the same", {CAPABILITIES, PARAMETERS}, {CAPABILITIES, PARAMETERS}, NULL},
    {"absent is off", {"{\"postcopy-ram\": false}", "{}"}, {"{}", "{}"}, NULL},
    {"on at the source",
     {"{\"postcopy-ram\": true}", "{}"},
     {"{}", "{}"},
     "postcopy-ram is on at FROM and off at TO"},
    {"on at the destination",
     {"{}", "{}"},
     {"{\"multifd\": true}", "{}"},
     "multifd is on at TO and off at FROM"},
    {"the source's own", {"{\"auto-converge\": true}", "{}"}, {"{}", "{}"}, NULL},
    {"channels without multifd",
     {"{}", "{\"multifd-channels\": 2}"},
     {"{}", "{\"multifd-channels\": 3}"},
     NULL},
    {"channels",
     {"{\"multifd\": true}", "{\"multifd-channels\": 2}"},
     {"{\"multifd\": true}", "{\"multifd-channels\": 3}"},
     "multifd-channels is not the same"},
    {"a parameter that only one has", {"{}", "{\"mode\": \"normal\"}"}, {"{}", "{}"}, NULL},
    {"credentials by two names",
     {"{}", "{\"tls-creds\": \"a\"}"},
     {"{}", "{\"tls-creds\": \"b\"}"},
     NULL},
    {"credentials at one end",
     {"{}", "{\"tls-creds\": \"a\"}"},
     {"{}", "{\"tls-creds\": \"\"}"},
     "TLS (tls-creds)"},
    {"credentials, absent", {"{}", "{}"}, {"{}", "{\"tls-creds\": \"b\"}"}, "TLS (tls-creds)"},
};

static void alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(alike_cases); i++) {
        const struct alike_case *c = &alike_cases[i];
        struct monitor from = vm("FROM", c->from[0], c->from[1]);
        struct monitor to = vm("TO", c->to[0], c->to[1]);
        struct error err;
        int rc = migrate_alike(&from, &to, &err);

        CHECK(rc == (c->refused ? -1 : 0), "%s", c->label);
        if (c->refused && !strstr(err.text, c->refused))
            fail_msg("%s: want '%s' in: %s", c->label, c->refused, err.text);
        monitor_close(&from);
        monitor_close(&to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes),
        cmocka_unit_test(adopting),
        cmocka_unit_test(alike),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
