#include "drive/migrate_path.h"

#include "tests/support/test.h"

static void local(void **state)
{
    static const struct {
        const char *address;
        bool want;
    } cases[] = {
        {"unix:/run/qmp", true},      {"tcp:127.0.0.1:4444", true}, {"tcp:127.9.9.9:4444", true},
        {"tcp:[::1]:4444", true},     {"tcp:localhost:4444", true}, {"fd:3", true},
        {"tcp:10.0.0.1:4444", false}, {"tcp:1.127.0.1:1", false},   {"tcp::4444", false},
        {"tcp:localhost.x:1", false}, {"vsock:3:4444", false},      {"tcp:[fe80::1%eth0]:1", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address a;
        struct error err;

        OK(address_parse(cases[i].address, &a, &err), err, cases[i].address);
        CHECK(migrate_is_local(&a) == cases[i].want, "%s", cases[i].address);
    }
}

static void listening(void **state)
{
    static const struct {
        const char *host, *want;
    } cases[] = {
        {"127.0.0.1", "tcp:127.0.0.1:0"},
        {"::1", "tcp:[::1]:0"},
        {"[::1]", "tcp:[::1]:0"},
        {"host.example", "tcp:host.example:0"},
    };
    char uri[MIGRATE_URI_MAX], long_host[MIGRATE_URI_MAX];
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        OK(migrate_listen_uri(cases[i].host, uri, &err), err, cases[i].host);
        assert_string_equal(uri, cases[i].want);
    }
    memset(long_host, 'x', sizeof(long_host) - 1);
    long_host[sizeof(long_host) - 1] = 0;
    assert_int_equal(migrate_listen_uri(long_host, uri, &err), -1);
}

/* What a monitor may answer, also hostile ones. */
static const struct heard_case {
    const char *label, *said;
    bool local;
    const char *want, *refused;
} heard_cases[] = {
    {"inet", "[{\"type\": \"inet\", \"host\": \"10.1.1.1\", \"port\": \"99\", \"ipv4\": true}]",
     false, "tcp:10.1.1.1:99", NULL},
    {"IPv6", "[{\"type\": \"inet\", \"host\": \"::1\", \"port\": \"99\"}]", false, "tcp:[::1]:99",
     NULL},
    {"the first of two",
     "[{\"type\": \"unix\", \"path\": \"/a\"}, {\"type\": \"unix\", \"path\": \"/b\"}]", false,
     "unix:/a", NULL},
    {"vsock", "[{\"type\": \"vsock\", \"cid\": \"3\", \"port\": \"99\"}]", false, "vsock:3:99",
     NULL},
    {"everywhere", "[{\"type\": \"inet\", \"host\": \"0.0.0.0\", \"port\": \"99\"}]", true,
     "tcp:127.0.0.1:99", NULL},
    {"everywhere, IPv6", "[{\"type\": \"inet\", \"host\": \"::\", \"port\": \"99\"}]", true,
     "tcp:[::1]:99", NULL},
    {"everywhere, from afar", "[{\"type\": \"inet\", \"host\": \"0.0.0.0\", \"port\": \"99\"}]",
     false, NULL, "at port 99 of every interface"},
    {"nothing", "[]", true, NULL, "does not report where"},
    {"no array", "{}", true, NULL, "does not report where"},
    {"no object", "[7]", true, NULL, "does not report where"},
    {"no type", "[{\"host\": \"a\", \"port\": \"1\"}]", true, NULL, "does not report where"},
    {"another type", "[{\"type\": \"fd\", \"str\": \"x\"}]", true, NULL, "does not report where"},
    {"a port that is a number", "[{\"type\": \"inet\", \"host\": \"a\", \"port\": 1}]", true, NULL,
     ""},
    {"no port", "[{\"type\": \"inet\", \"host\": \"a\"}]", true, NULL, ""},
    {"no path", "[{\"type\": \"unix\"}]", true, NULL, ""},
};

static void heard(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heard_cases); i++) {
        const struct heard_case *c = &heard_cases[i];
        json_auto_t *said = json_loads(c->said, 0, NULL);
        char uri[MIGRATE_URI_MAX];
        struct error err;
        int rc = migrate_heard_uri(said, c->local, uri, &err);

        CHECK(said && rc == (c->refused ? -1 : 0), "%s", c->label);
        if (c->refused && !strstr(err.text, c->refused))
            fail_msg("%s: want '%s' in: %s", c->label, c->refused, err.text);
        if (c->want && strcmp(uri, c->want) != 0)
            fail_msg("%s: %s, want %s", c->label, uri, c->want);
    }
    char path[400], uri[MIGRATE_URI_MAX];
    struct error err;
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = 0;
    json_auto_t *endless = json_pack("[{s:s, s:s}]", "type", "unix", "path", path);
    assert_int_equal(migrate_heard_uri(endless, true, uri, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local),
        cmocka_unit_test(listening),
        cmocka_unit_test(heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
