/*
 * What the gate accepts, compared with what was seen on running QEMUs. The tables here are written
 * independently: they are not made from the gate's tables.
 */
#include "settings/gate.h"

#include "compress/codec.h"
#include "tests/support/test.h"

#define F(x) IN_SET(FACT_##x)

/* Sets "name=value name=value …". The words must outlive the settings. */
static int say_all(struct settings *s, char *words, struct refusal *ret, struct error *err)
{
    char *rest = words, *word;

    while ((word = strsep(&rest, " "))) {
        char *value = strchr(word, '=');

        if (!value)
            continue;
        *value++ = 0;
        if (settings_say(s, word, value, ret, err) < 0)
            return -1;
    }
    return 0;
}

/* Settings with these values, without asking the gate. */
static struct settings settings_of(const char *text, char words[static 256])
{
    struct settings s;
    struct refusal refusal;
    struct error err;

    settings_init(&s);
    snprintf(words, 256, "%s", text ? text : "");
    OK(say_all(&s, words, &refusal, &err), err, text);
    return s;
}

/* --- pairs of capabilities ------------------------------------------------------------------- */

/* As seen on QEMU 7.2 or 11.1: refused in either order. */
static const struct {
    const char *one, *other, *rule;
} conflicts[] = {
    {"multifd", "xbzrle", "C2"},
    {"multifd", "compress", "C3"},
    {"postcopy-ram", "x-ignore-shared", "C5"},
    {"postcopy-preempt", "compress", "C8"},
    {"zero-copy-send", "xbzrle", "C11"},
    {"zero-copy-send", "compress", "C11"},
    {"dirty-limit", "auto-converge", "C14"},
    {"mapped-ram", "xbzrle", "C16"},
    {"mapped-ram", "postcopy-ram", "C16"},
    {"background-snapshot", "postcopy-ram", "C20"},
    {"background-snapshot", "dirty-bitmaps", "C20"},
    {"background-snapshot", "postcopy-blocktime", "C20"},
    {"background-snapshot", "late-block-activate", "C20"},
    {"background-snapshot", "return-path", "C20"},
    {"background-snapshot", "multifd", "C20"},
    {"background-snapshot", "pause-before-switchover", "C20"},
    {"background-snapshot", "auto-converge", "C20"},
    {"background-snapshot", "release-ram", "C20"},
    {"background-snapshot", "rdma-pin-all", "C20"},
    {"background-snapshot", "xbzrle", "C20"},
    {"background-snapshot", "x-colo", "C20"},
    {"background-snapshot", "validate-uuid", "C20"},
    {"background-snapshot", "zero-copy-send", "C20"},
    {"background-snapshot", "compress", "C20"},
};

static const struct {
    const char *one, *needs, *rule;
} requirements[] = {
    {"postcopy-preempt", "postcopy-ram", "C7"},
    {"zero-copy-send", "multifd", "C10"},
    {"switchover-ack", "return-path", "C13"},
    {"x-colo", "return-path", "C17"},
};

/* Parts that a build of QEMU may lack; it has a rule of its own for them. */
static const char *const left_out[] = {"block", "x-colo"};

static const char *const built[] = {"auto-converge",   "dirty-limit",    "events",
                                    "mapped-ram",      "multifd",        "pause-before-switchover",
                                    "return-path",     "switchover-ack", "validate-uuid",
                                    "x-ignore-shared", "zero-copy-send"};

static bool in_list(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], name) == 0)
            return true;
    }
    return false;
}

#define IN_LIST(list, name) in_list(list, ARRAY_LEN(list), name)

static const char *conflict(const char *a, const char *b)
{
    for (size_t i = 0; i < ARRAY_LEN(conflicts); i++) {
        const char *one = conflicts[i].one, *other = conflicts[i].other;

        if ((strcmp(one, a) == 0 && strcmp(other, b) == 0) ||
            (strcmp(one, b) == 0 && strcmp(other, a) == 0))
            return conflicts[i].rule;
    }
    return NULL;
}

/* Whether these two together lack something that one of them needs. */
static bool lacks(const char *a, const char *b)
{
    for (size_t i = 0; i < ARRAY_LEN(requirements); i++) {
        const char *one = requirements[i].one, *needs = requirements[i].needs;

        if ((strcmp(one, a) == 0 && strcmp(needs, b) != 0) ||
            (strcmp(one, b) == 0 && strcmp(needs, a) != 0))
            return true;
    }
    return false;
}

struct verdict {
    const char *class; /* NULL: passes */
    const char *rule;  /* NULL: any */
};

static struct verdict expected_of_pair(const char *a, const char *b)
{
    if (conflict(a, b))
        return (struct verdict){"CONFLICT", conflict(a, b)};
    if (lacks(a, b))
        return (struct verdict){"REQUIRES", NULL};
    if (IN_LIST(left_out, a) || IN_LIST(left_out, b))
        return (struct verdict){"BUILD", "C18"};
    if (!IN_LIST(built, a) || !IN_LIST(built, b))
        return (struct verdict){"BUILD", "R5"};
    return (struct verdict){NULL, NULL};
}

/* rc and the refusal are as expected; a refusal names its rule and changes nothing. */
static void check_verdict(const char *label, struct verdict want, int rc, struct refusal found,
                          const struct error *err)
{
    char end[32];

    if (!want.class) {
        CHECK(rc == 0, "%s: refused: %s", label, err->text);
        return;
    }
    CHECK(rc == -1, "%s: passed, expected %s", label, want.class);
    CHECK(strcmp(gate_class_name(found.class), want.class) == 0, "%s: %s, expected %s: %s", label,
          gate_class_name(found.class), want.class, err->text);
    CHECK(!want.rule || strcmp(found.rule, want.rule) == 0, "%s: rule %s, expected %s: %s", label,
          found.rule, want.rule, err->text);
    snprintf(end, sizeof(end), "(rule %s)", found.rule);
    CHECK(strlen(err->text) > strlen(end) &&
              strcmp(err->text + strlen(err->text) - strlen(end), end) == 0,
          "%s: expected '%s' at the end of: %s", label, end, err->text);
    CHECK(err->kind == ERR_USAGE, "%s: error kind %d", label, err->kind);
}

static void pairs(void **state)
{
    unsigned n = 0;

    (void)state;
    for (int a = 0; a < CAP_N; a++) {
        for (int b = a; b < CAP_N; b++, n++) {
            const char *one = capabilities[a].name, *other = capabilities[b].name;
            struct settings now, change, before;
            struct refusal refusal = {0};
            struct error err = {0};
            char label[80];

            snprintf(label, sizeof(label), "%s with %s", one, other);
            settings_init(&now);
            before = change = now;
            OK(settings_say(&change, one, "on", &refusal, &err), err, label);
            OK(settings_say(&change, other, "true", &refusal, &err), err, label);
            int rc = gate_set(&now, &change, 0, &refusal, &err);
            check_verdict(label, expected_of_pair(one, other), rc, refusal, &err);
            CHECK(rc == 0 || memcmp(&now, &before, sizeof(now)) == 0, "%s: half of it", label);
            CHECK(rc < 0 || now.capabilities == (IN_SET(a) | IN_SET(b)), "%s: not on", label);
        }
    }
    CHECK(n == CAP_N * (CAP_N + 1) / 2 && CAP_N == 24, "%u pairs", n);
}

static void all_off_passes(void **state)
{
    struct settings now, change;
    struct refusal refusal;
    struct error err;

    (void)state;
    settings_init(&now);
    change = now;
    for (int i = 0; i < CAP_N; i++)
        OK(settings_say(&change, capabilities[i].name, "off", &refusal, &err), err, "off");
    OK(gate_set(&now, &change, 0, &refusal, &err), err, "all off");
}

/* --- edges of parameters --------------------------------------------------------------------- */

/* As seen on QEMU 11.1: the last value refused below the range, its first and last value, the
 * first refused above. */
static const struct edge_case {
    const char *name, *below, *low, *high, *above;
    const char *other_type;
    const char *standard; /* QEMU's default */
    bool built;
} edge_cases[] = {
    {"announce-initial", "-1", "0", "100000", "100001", "soon", "50", false},
    {"announce-max", "-1", "0", "100000", "100001", "1ms", "550", false},
    {"announce-rounds", "-1", "0", "1000", "1001", "", "5", false},
    {"announce-step", "0", "1", "10000", "10001", "1.5", "100", false},
    {"throttle-trigger-threshold", "0", "1", "100", "101", "half", "50", true},
    {"cpu-throttle-initial", "0", "1", "99", "100", "on", "20", true},
    {"cpu-throttle-increment", "0", "1", "99", "100", "5%", "10", true},
    {"cpu-throttle-tailslow", "2", "on", "true", "yes", "1", "off", true},
    {"max-cpu-throttle", "0", "20", "99", "100", " 50", "99", true},
    {"tls-creds", NULL, "", "/etc/pki/qemu", NULL, NULL, "", true},
    {"tls-hostname", NULL, "", "host.example", NULL, NULL, "", true},
    {"tls-authz", NULL, "", "CN=*", NULL, NULL, "", true},
    {"max-bandwidth", "-1", "0", "18446744073709551615", "18446744073709551616", "10Gbit",
     "134217728", true},
    {"avail-switchover-bandwidth", "-1", "0", "18446744073709551615", "18446744073709551616",
     "fast", "0", true},
    {"downtime-limit", "-1", "0", "2000000", "2000001", "300ms", "300", true},
    {"x-checkpoint-delay", "-1", "0", "4294967295", "4294967296", "x", "20000", false},
    {"multifd-channels", "0", "1", "255", "256", "many", "2", true},
    {"multifd-zlib-level", "-1", "0", "9", "10", "best", "1", true},
    /* Ramjet's range: QEMU takes 0 to 20, the format any level. */
    {"multifd-zstd-level", "-131073", "-131072", "20", "21", "-", "1", true},
    {"multifd-qatzip-level", "0", "1", "9", "10", "x", "1", false},
    {"xbzrle-cache-size", "2048", "4096", "9223372036854775808", "18446744073709551615", "5000",
     "67108864", false},
    {"max-postcopy-bandwidth", "-1", "0", "18446744073709551615", "18446744073709551616", "x", "0",
     false},
    {"block-bitmap-mapping", NULL, "", "[]", NULL, NULL, "", false},
    {"vcpu-dirty-limit", "0", "1", "18446744073709551615", "18446744073709551616", "x", "1", true},
    {"x-vcpu-dirty-limit-period", "0", "1", "1000", "1001", "x", "1000", false},
    {"direct-io", "2", "on", "true", "yes", "1", "off", true},
    {"cpr-exec-command", NULL, "", "qemu -S 'a b'", "'a", "\"", "", true},
    {"x-rdma-chunk-size", "524288", "1048576", "1G", "2G", "1500000", "1048576", false},
    {"compress-level", "-1", "0", "9", "10", "x", "1", false},
    {"compress-threads", "0", "1", "255", "256", "x", "8", false},
    {"decompress-threads", "0", "1", "255", "256", "x", "2", false},
    {"compress-wait-thread", "2", "off", "false", "no", "0", "on", false},
    {"block-incremental", "2", "on", "true", "yes", "1", "off", false},
};

/* Enums: every name, and the value that it sets. */
static const struct value_case {
    const char *name, *value;
    struct verdict want;
} value_cases[] = {
    {"multifd-compression", "none", {NULL, NULL}},
    {"multifd-compression", "zlib", {NULL, NULL}},
    {"multifd-compression", "zstd", {NULL, NULL}},
    {"multifd-compression", "qpl", {"UNKNOWN", "P6"}},
    {"multifd-compression", "uadk", {"UNKNOWN", "P6"}},
    {"multifd-compression", "qatzip", {"UNKNOWN", "P6"}},
    {"multifd-compression", "lz4", {"UNKNOWN", "P6"}},
    {"multifd-compression", "", {"UNKNOWN", "P6"}},
    {"multifd-compression", "1", {"UNKNOWN", "P6"}},
    {"mode", "normal", {NULL, NULL}},
    {"mode", "cpr-reboot", {NULL, NULL}},
    {"mode", "cpr-transfer", {NULL, NULL}},
    {"mode", "cpr-exec", {NULL, NULL}},
    {"mode", "fast", {"UNKNOWN", "P6"}},
    {"zero-page-detection", "multifd", {NULL, NULL}},
    {"zero-page-detection", "legacy", {"BUILD", "R5"}},
    {"zero-page-detection", "none", {"BUILD", "R5"}},
    {"zero-page-detection", "all", {"UNKNOWN", "P6"}},
    {"max-bandwidth", "1k", {NULL, NULL}},
    {"max-bandwidth", "17179869183G", {NULL, NULL}},
    {"max-bandwidth", "17179869184G", {"RANGE", "P1"}},
    {"max-bandwidth", "1KB", {"RANGE", "P1"}},
    {"xbzrle-cache-size", "64M", {NULL, NULL}},
    {"xbzrle-cache-size", "48M", {"RANGE", "P1"}},
    {"multifd-zstd-level", "-1", {NULL, NULL}},
    {"multifd-zstd-level", "--1", {"RANGE", "P1"}},
    {"multifd-zstd-level", "0", {NULL, NULL}},
    {"multifd", "1", {"RANGE", "P1"}},
    {"multifd", "", {"RANGE", "P1"}},
    {"multifd", "false", {NULL, NULL}},
    {"virtio-iterative", "on", {"UNKNOWN", "R1"}},
    {"", "on", {"UNKNOWN", "R1"}},
    {"Multifd", "on", {"UNKNOWN", "R1"}},
};

static void check_value(const char *name, const char *value, struct verdict want)
{
    struct settings now, change;
    struct refusal refusal = {0};
    struct error err = {0};
    char label[80];

    settings_init(&now);
    change = now;
    snprintf(label, sizeof(label), "%s=%s", name, value);
    int rc = settings_say(&change, name, value, &refusal, &err);
    if (rc == 0)
        rc = gate_set(&now, &change, 0, &refusal, &err);
    check_verdict(label, want, rc, refusal, &err);
}

static void edges(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(edge_cases); i++) {
        const struct edge_case *c = &edge_cases[i];
        const char *const refused[] = {c->below, c->above, c->other_type};
        const char *const taken[] = {c->low, c->high, c->standard};

        for (size_t k = 0; k < ARRAY_LEN(refused); k++) {
            if (refused[k])
                check_value(c->name, refused[k], (struct verdict){"RANGE", "P1"});
        }
        for (size_t k = 0; k < ARRAY_LEN(taken); k++) {
            bool asks = strcmp(taken[k], c->standard) != 0;

            check_value(c->name, taken[k],
                        c->built || !asks ? (struct verdict){NULL, NULL}
                                          : (struct verdict){"BUILD", "R5"});
        }
    }
}

static void values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(value_cases); i++) {
        const struct value_case *c = &value_cases[i];
        bool absent = strcmp(c->value, "zstd") == 0 && !codec_built(CODEC_ZSTD);

        check_value(c->name, c->value, absent ? (struct verdict){"UNKNOWN", "P6"} : c->want);
    }
}

/* Every parameter is in one of the tables above, with the default that QEMU shows. */
static void edges_are_complete(void **state)
{
    (void)state;
    for (int id = 0; id < PARAM_N; id++) {
        const struct parameter_info *p = &parameters[id];
        bool found = p->kind == KIND_ENUM;

        for (size_t i = 0; i < ARRAY_LEN(edge_cases); i++) {
            char text[PARAMETER_TEXT_MAX];

            if (strcmp(edge_cases[i].name, p->name) != 0)
                continue;
            found = true;
            parameter_print((enum parameter)id, p->standard, text);
            CHECK(strcmp(text, edge_cases[i].standard) == 0, "%s: default %s, expected %s", p->name,
                  text, edge_cases[i].standard);
            CHECK(!p->unsupported == edge_cases[i].built, "%s: built", p->name);
        }
        CHECK(found, "%s: not tested", p->name);
    }
    CHECK(ARRAY_LEN(edge_cases) + 3 == PARAM_N, "%zu cases", ARRAY_LEN(edge_cases));
}

static void long_text_is_refused(void **state)
{
    static char text[5000];
    struct settings s;
    struct refusal refusal;
    struct error err;

    (void)state;
    settings_init(&s);
    memset(text, 'x', sizeof(text) - 1);
    for (size_t len = 4095; len <= 4096; len++) {
        text[len] = 0;
        int rc = settings_say(&s, "tls-creds", text, &refusal, &err);
        text[len] = 'x';
        check_verdict("tls-creds", (struct verdict){len > 4095 ? "RANGE" : NULL, NULL}, rc, refusal,
                      &err);
        settings_init(&s);
    }
}

/* --- rules ----------------------------------------------------------------------------------- */

#define SET 0 /* when a case that sets `change` happens */

static const struct rule_case {
    const char *label, *rule;
    const char *class; /* NULL: this rule lets it pass */
    const char *now, *change;
    uint64_t world;
    unsigned moment;
} rule_cases[] = {
    {"any, while one runs", "C1", "BUSY", NULL, "return-path=on", F(OUTGOING), SET},
    {"to the same value", "C1", "BUSY", "multifd=on", "multifd=on", F(OUTGOING), SET},
    {"ours: while one comes in", "C1", "BUSY", NULL, "multifd=off", F(INCOMING), SET},
    {"idle", "C1", NULL, NULL, "multifd=on", 0, SET},
    {"multifd, then xbzrle", "C2", "CONFLICT", "multifd=on", "xbzrle=on", 0, SET},
    {"one for the other", "C2", NULL, "xbzrle=on", "multifd=on xbzrle=off", 0, SET},
    {"multifd, then compress", "C3", "CONFLICT", "multifd=on", "compress=on", 0, SET},
    {"multifd alone", "C3", NULL, NULL, "multifd=on", 0, SET},
    {"both, in order", "C5", "CONFLICT", "postcopy-ram=on", "x-ignore-shared=on", 0, SET},
    {"one off again", "C5", NULL, "postcopy-ram=on", "postcopy-ram=off multifd=on", 0, SET},
    {"preempt alone", "C7", "REQUIRES", NULL, "postcopy-preempt=on", 0, SET},
    {"takes away what it needs", "C7", "REQUIRES", "postcopy-preempt=on postcopy-ram=on",
     "postcopy-ram=off", 0, SET},
    {"both off", "C7", NULL, "postcopy-preempt=on postcopy-ram=on",
     "postcopy-ram=off postcopy-preempt=off", 0, SET},
    {"preempt, compress", "C8", "CONFLICT", "compress=on", "postcopy-ram=on postcopy-preempt=on", 0,
     SET},
    {"compress off", "C8", NULL, "compress=on", "compress=off", 0, SET},
    {"multifd too late", "C9", "STATE", NULL, "multifd=on", F(WAITING) | F(LISTENING), SET},
    {"preempt too late", "C9", "STATE", "postcopy-ram=on", "postcopy-preempt=on", F(LISTENING),
     SET},
    {"multifd on already", "C9", NULL, "multifd=on", "multifd=on", F(WAITING) | F(LISTENING), SET},
    {"multifd off late", "C9", NULL, "multifd=on", "multifd=off", F(WAITING) | F(LISTENING), SET},
    {"without multifd", "C10", "REQUIRES", NULL, "zero-copy-send=on", 0, SET},
    {"multifd goes", "C10", "REQUIRES", "multifd=on zero-copy-send=on", "multifd=off", 0, SET},
    {"with multifd", "C10", NULL, "multifd=on", "zero-copy-send=on", 0, SET},
    {"compressed", "C11", "CONFLICT", "multifd=on multifd-compression=zlib", "zero-copy-send=on", 0,
     SET},
    {"under TLS", "C11", "CONFLICT", "multifd=on tls-creds=x", "zero-copy-send=on", 0, SET},
    {"under TLS by a PSK", "C11", "CONFLICT", "multifd=on", "zero-copy-send=on", F(TLS_PSK), SET},
    {"with xbzrle", "C11", "CONFLICT", "xbzrle=on", "zero-copy-send=on", 0, SET},
    {"TLS gone", "C11", NULL, "multifd=on tls-creds=x", "tls-creds= zero-copy-send=on", 0, SET},
    {"return path goes", "C13", "REQUIRES", "switchover-ack=on return-path=on", "return-path=off",
     0, SET},
    {"both go", "C13", NULL, "switchover-ack=on return-path=on",
     "return-path=off switchover-ack=off", 0, SET},
    {"both throttles", "C14", "CONFLICT", "auto-converge=on", "dirty-limit=on", 0, SET},
    {"the other one off", "C14", NULL, "auto-converge=on", "auto-converge=off", 0, SET},
    {"no ring", "C15", "HOST", NULL, "dirty-limit=on", F(NO_DIRTY_RING), SET},
    {"no ring, nothing asked", "C15", NULL, NULL, "multifd=on", F(NO_DIRTY_RING), SET},
    {"xbzrle", "C16", "CONFLICT", "mapped-ram=on", "xbzrle=on", 0, SET},
    {"postcopy", "C16", "CONFLICT", "postcopy-ram=on", "mapped-ram=on", 0, SET},
    {"multifd", "C16", NULL, "mapped-ram=on", "multifd=on", 0, SET},
    {"without return path", "C17", "REQUIRES", NULL, "x-colo=on", 0, SET},
    {"return path goes, colo too", "C17", NULL, "x-colo=on return-path=on",
     "x-colo=off return-path=off", 0, SET},
    {"colo", "C18", "BUILD", "return-path=on", "x-colo=on", 0, SET},
    {"block", "C18", "BUILD", NULL, "block=on", 0, SET},
    {"block off", "C18", NULL, NULL, "block=off", 0, SET},
    {"multifd under a snapshot", "C20", "CONFLICT", "background-snapshot=on", "multifd=on", 0, SET},
    {"events under a snapshot", "C20", NULL, "background-snapshot=on", "events=off", 0, SET},

    {"throttle crossed", "P1", "RANGE", "cpu-throttle-initial=99", "max-cpu-throttle=20", 0, SET},
    {"throttle crossed at once", "P1", "RANGE", NULL, "max-cpu-throttle=20 cpu-throttle-initial=21",
     0, SET},
    {"throttle equal", "P1", NULL, "cpu-throttle-initial=99", "max-cpu-throttle=99", 0, SET},
    {"throttle repaired", "P1", NULL, "max-cpu-throttle=20 cpu-throttle-initial=21",
     "cpu-throttle-initial=20", 0, SET},
    {"compression comes", "P2", "CONFLICT", "multifd=on zero-copy-send=on",
     "multifd-compression=zlib", 0, SET},
    {"TLS comes", "P2", "CONFLICT", "multifd=on zero-copy-send=on", "tls-creds=x", 0, SET},
    {"none comes", "P2", NULL, "multifd=on zero-copy-send=on",
     "multifd-compression=none tls-creds=", 0, SET},
    {"zero-copy goes", "P2", NULL, "multifd=on zero-copy-send=on",
     "zero-copy-send=off multifd-compression=zlib", 0, SET},
    {"ours: compression second", "P3", "CONFLICT", "mapped-ram=on", "multifd-compression=zlib", 0,
     SET},
    {"ours: compression first", "P3", "CONFLICT", "multifd-compression=zlib", "mapped-ram=on", 0,
     SET},
    {"ours: TLS second", "P3", "CONFLICT", "mapped-ram=on", "tls-creds=x", 0, SET},
    {"ours: TLS first", "P3", "CONFLICT", "tls-creds=x", "mapped-ram=on", 0, SET},
    {"ours: the repairing call", "P3", NULL, "mapped-ram=on multifd-compression=zlib tls-creds=x",
     "multifd-compression=none tls-creds=", 0, SET},
    {"ours: repaired from the other side", "P3", NULL, "mapped-ram=on multifd-compression=zlib",
     "mapped-ram=off", 0, SET},

    {"ours: not live", "R3", "BUSY", NULL, "multifd-channels=4", F(OUTGOING), SET},
    {"ours: not live, coming in", "R3", "BUSY", NULL, "tls-creds=", F(INCOMING), SET},
    {"ours: one of two is not live", "R3", "BUSY", NULL, "max-bandwidth=1 multifd-zlib-level=1",
     F(OUTGOING), SET},
    {"ours: live", "R3", NULL, NULL, "max-bandwidth=1 downtime-limit=5", F(OUTGOING), SET},
    {"PSK and certificates", "R4", "CONFLICT", NULL, "tls-creds=x", F(TLS_PSK), SET},
    {"PSK", "R4", NULL, NULL, "tls-creds=", F(TLS_PSK), SET},
    {"unbuilt", "R5", "BUILD", NULL, "xbzrle=on", 0, SET},
    {"unbuilt", "R5", "BUILD", NULL, "announce-step=1", 0, SET},
    {"a default", "R5", NULL, NULL, "announce-step=100 xbzrle=off", 0, SET},
    {"the source's", "R6", "STATE", NULL, "return-path=on", F(DESTINATION), SET},
    {"the source's", "R6", "STATE", NULL, "max-bandwidth=1", F(DESTINATION), SET},
    {"the destination's", "R6", "STATE", NULL, "tls-authz=x", F(SOURCE), SET},
    {"both's", "R6", NULL, NULL, "multifd=on multifd-channels=4 tls-creds=x", F(DESTINATION), SET},
    {"a VM is both", "R6", NULL, NULL, "return-path=on tls-authz=x", 0, SET},
    {"nobody says go on", "R9", "STATE", NULL, "pause-before-switchover=on", F(SOURCE), SET},
    {"nobody sends events", "R9", "STATE", NULL, "events=on", F(SOURCE), SET},
    {"nobody sends events", "R9", "STATE", NULL, "events=on", F(DESTINATION), SET},
    {"a VM has a monitor", "R9", NULL, NULL, "pause-before-switchover=on events=on", 0, SET},
    {"no guest to keep", "R12", "STATE", NULL, "mode=cpr-transfer", F(SOURCE), SET},
    {"no guest to keep", "R12", "STATE", NULL, "mode=cpr-exec", F(SOURCE), SET},
    {"no guest to keep", "R12", "STATE", NULL, "mode=cpr-exec", F(DESTINATION), SET},
    {"a file is kept", "R12", NULL, NULL, "mode=cpr-reboot", F(SOURCE), SET},
    {"a VM has a guest", "R12", NULL, NULL, "mode=cpr-exec", 0, SET},
    {"off", "R9", NULL, NULL, "pause-before-switchover=off events=off", F(SOURCE), SET},

    {"no main", "M1", "ADDRESS", NULL, NULL, F(BAD_CHANNELS), AT_MIGRATE},
    {"no main", "M1", "ADDRESS", NULL, NULL, F(BAD_CHANNELS) | F(WAITING), AT_INCOMING},
    {"a socket", "M1", NULL, NULL, NULL, 0, AT_MIGRATE},
    {"mapped-ram, a socket", "M2", "TRANSPORT", "mapped-ram=on", NULL, 0, AT_MIGRATE},
    {"mapped-ram, a socket", "M2", "TRANSPORT", "mapped-ram=on", NULL, F(WAITING), AT_INCOMING},
    {"mapped-ram, a file", "M2", NULL, "mapped-ram=on", NULL, F(FILE_ADDRESS), AT_MIGRATE},
    {"multifd, fd", "M3", "TRANSPORT", "multifd=on", NULL, F(ONE_CONNECTION), AT_MIGRATE},
    {"multifd, fd", "M3", "TRANSPORT", "multifd=on", NULL, F(WAITING) | F(ONE_CONNECTION),
     AT_INCOMING},
    {"multifd, file", "M3", "TRANSPORT", "multifd=on", NULL, F(FILE_ADDRESS), AT_MIGRATE},
    {"preempt, fd", "M3", "TRANSPORT", "postcopy-ram=on postcopy-preempt=on", NULL,
     F(ONE_CONNECTION), AT_MIGRATE},
    {"preempt, file", "M3", "TRANSPORT", "postcopy-ram=on postcopy-preempt=on", NULL,
     F(FILE_ADDRESS), AT_MIGRATE},
    {"multifd, a mapped file", "M3", NULL, "multifd=on mapped-ram=on", NULL, F(FILE_ADDRESS),
     AT_MIGRATE},
    {"multifd, sockets", "M3", NULL, "multifd=on", NULL, 0, AT_MIGRATE},
    {"one connection", "M3", NULL, NULL, NULL, F(ONE_CONNECTION), AT_MIGRATE},
    {"direct-io, a socket", "M4", "TRANSPORT", "multifd=on direct-io=on", NULL, 0, AT_MIGRATE},
    {"direct-io, a file", "M4", NULL, "multifd=on direct-io=on mapped-ram=on", NULL,
     F(FILE_ADDRESS), AT_MIGRATE},
    {"transfer into a file", "M5", "TRANSPORT", "mode=cpr-transfer", NULL,
     F(FILE_ADDRESS) | F(CPR_CHANNEL), AT_MIGRATE},
    {"transfer to a peer", "M5", NULL, "mode=cpr-transfer", NULL, F(CPR_CHANNEL), AT_MIGRATE},
    {"mapped-ram compressed", "M7", "CONFLICT", "mapped-ram=on multifd-compression=zlib", NULL,
     F(FILE_ADDRESS), AT_MIGRATE},
    {"mapped-ram under TLS", "M7", "CONFLICT", "mapped-ram=on tls-creds=x", NULL, F(FILE_ADDRESS),
     AT_MIGRATE},
    {"mapped-ram plain", "M7", NULL, "mapped-ram=on", NULL, F(FILE_ADDRESS), AT_MIGRATE},
    {"a second one", "M8", "BUSY", NULL, NULL, F(OUTGOING), AT_MIGRATE},
    {"a first one", "M8", NULL, NULL, NULL, 0, AT_MIGRATE},
    {"waits itself", "M9", "STATE", NULL, NULL, F(WAITING), AT_MIGRATE},
    {"waits no more", "M9", NULL, NULL, NULL, 0, AT_MIGRATE},
    {"gone", "M10", "STATE", NULL, NULL, F(POSTMIGRATE), AT_MIGRATE},
    {"cont came", "M10", NULL, NULL, NULL, 0, AT_MIGRATE},
    {"cpr, postcopy", "M13", "CONFLICT", "mode=cpr-reboot postcopy-ram=on", NULL, 0, AT_MIGRATE},
    {"cpr, bitmaps", "M13", "CONFLICT", "mode=cpr-reboot dirty-bitmaps=on", NULL, 0, AT_MIGRATE},
    {"cpr, snapshot", "M13", "CONFLICT", "mode=cpr-reboot background-snapshot=on", NULL, 0,
     AT_MIGRATE},
    {"cpr, colo", "M13", "CONFLICT", "mode=cpr-reboot x-colo=on", NULL, 0, AT_MIGRATE},
    {"cpr, x-ignore-shared", "M13", NULL, "mode=cpr-reboot x-ignore-shared=on", NULL, 0,
     AT_MIGRATE},
    {"exec what?", "M14", "REQUIRES", "mode=cpr-exec", NULL, F(FILE_ADDRESS), AT_MIGRATE},
    {"exec this", "M14", NULL, "mode=cpr-exec cpr-exec-command=qemu", NULL, F(FILE_ADDRESS),
     AT_MIGRATE},
    {"no cpr channel", "M15", "ADDRESS", "mode=cpr-transfer", NULL, 0, AT_MIGRATE},
    {"a cpr channel", "M15", NULL, "mode=cpr-transfer", NULL, F(CPR_CHANNEL), AT_MIGRATE},
    {"no pages, and places for them", "R13", "CONFLICT",
     "mode=cpr-exec cpr-exec-command=x mapped-ram=on", NULL, F(FILE_ADDRESS), AT_MIGRATE},
    {"pages, and places for them", "R13", NULL, "mode=cpr-reboot mapped-ram=on", NULL,
     F(FILE_ADDRESS), AT_MIGRATE},
    {"private memory", "M16", "BLOCKED", "mode=cpr-transfer", NULL, F(CPR_CHANNEL) | F(RAM_PRIVATE),
     AT_MIGRATE},
    {"private memory, exec", "M16", "BLOCKED", "mode=cpr-exec cpr-exec-command=x", NULL,
     F(FILE_ADDRESS) | F(RAM_PRIVATE), AT_MIGRATE},
    {"private memory, reboot", "M16", NULL, "mode=cpr-reboot", NULL, F(RAM_PRIVATE), AT_MIGRATE},
    {"exec to a peer", "B7", "TRANSPORT", "mode=cpr-exec cpr-exec-command=x", NULL, 0, AT_MIGRATE},
    {"exec by a file", "B7", NULL, "mode=cpr-exec cpr-exec-command=x", NULL, F(FILE_ADDRESS),
     AT_MIGRATE},
    {"reboot to a peer", "B7", NULL, "mode=cpr-reboot", NULL, 0, AT_MIGRATE},
    {"cpr, what for", "M1", "ADDRESS", NULL, NULL, F(CPR_CHANNEL), AT_MIGRATE},
    {"cpr, for exec", "M1", "ADDRESS", "mode=cpr-exec cpr-exec-command=x", NULL,
     F(CPR_CHANNEL) | F(FILE_ADDRESS), AT_MIGRATE},
    {"private memory, normal", "M16", NULL, NULL, NULL, F(RAM_PRIVATE), AT_MIGRATE},
    {"resume what?", "M17", "STATE", NULL, NULL, F(RESUME), AT_MIGRATE},
    {"nothing to resume", "M17", NULL, NULL, NULL, 0, AT_MIGRATE},
    {"ours: by a Unix socket", "M18", "IO", "multifd=on zero-copy-send=on", NULL, F(UNIX_ADDRESS),
     AT_MIGRATE},
    {"ours: into a file", "M18", "IO", "multifd=on mapped-ram=on zero-copy-send=on", NULL,
     F(FILE_ADDRESS), AT_MIGRATE},
    {"by another", "M18", NULL, "multifd=on zero-copy-send=on", NULL, 0, AT_MIGRATE},
    {"ours: packs nothing", "R7", "REQUIRES", "multifd-compression=zlib", NULL, 0, AT_MIGRATE},
    {"packs", "R7", NULL, "multifd=on multifd-compression=zlib", NULL, 0, AT_MIGRATE},
    {"ours: TLS with a file", "R10", "CONFLICT", "tls-creds=x", NULL, F(FILE_ADDRESS), AT_MIGRATE},
    {"ours: TLS with a file", "R10", "CONFLICT", NULL, NULL,
     F(FILE_ADDRESS) | F(TLS_PSK) | F(WAITING), AT_INCOMING},
    {"a file", "R10", NULL, NULL, NULL, F(FILE_ADDRESS), AT_MIGRATE},
    {"ours: places there are none", "R11", "REQUIRES", "direct-io=on", NULL, F(FILE_ADDRESS),
     AT_MIGRATE},
    {"without multifd", "R11", NULL, "direct-io=on mapped-ram=on", NULL, F(FILE_ADDRESS),
     AT_MIGRATE},
    {"ours: names of nobody", "R8", "REQUIRES", "tls-authz=x", NULL, F(WAITING), AT_INCOMING},
    {"ours: a key has no name", "R8", "REQUIRES", "tls-authz=x", NULL, F(TLS_PSK) | F(WAITING),
     AT_INCOMING},
    {"names in certificates", "R8", NULL, "tls-authz=x tls-creds=x", NULL, F(WAITING), AT_INCOMING},
    {"ours: a host of nobody", "R8", "REQUIRES", "tls-hostname=x", NULL, 0, AT_MIGRATE},
    {"a host", "R8", NULL, "tls-hostname=x tls-creds=x", NULL, 0, AT_MIGRATE},
    {"ours: a user without a key", "R8", "REQUIRES", NULL, NULL, F(TLS_USERNAME), AT_MIGRATE},
    {"a user", "R8", NULL, NULL, NULL, F(TLS_USERNAME) | F(TLS_PSK), AT_MIGRATE},
    {"not waiting", "I1", "STATE", NULL, NULL, 0, AT_INCOMING},
    {"waiting", "I1", NULL, NULL, NULL, F(WAITING), AT_INCOMING},
    {"a second time", "I2", "STATE", NULL, NULL, F(WAITING) | F(LISTENING), AT_INCOMING},
    {"a first time", "I2", NULL, NULL, NULL, F(WAITING), AT_INCOMING},
    {"a migration runs", "B9", "BUSY", NULL, NULL, F(OUTGOING), AT_RAM_SET},
    {"one comes in", "B9", "BUSY", NULL, NULL, F(LISTENING) | F(INCOMING), AT_RAM_SET},
    {"one is listened for", "B9", "BUSY", NULL, NULL, F(LISTENING) | F(WAITING), AT_RAM_SET},
    {"none", "B9", NULL, NULL, NULL, 0, AT_RAM_SET},
    {"it waits", "B10", "BUSY", NULL, NULL, F(WAITING), AT_RAM_SET},
    {"its guest has gone", "B10", NULL, NULL, NULL, F(POSTMIGRATE), AT_RAM_SET},
};

static void check_rule_case(const struct rule_case *c)
{
    char words[2][256], label[120];
    struct settings now = settings_of(c->now, words[0]), before = now;
    struct settings change = settings_of(c->change, words[1]);
    struct refusal refusal = {0};
    struct error err = {0};

    snprintf(label, sizeof(label), "%s: %s", c->rule, c->label);
    int rc = c->moment == SET ? gate_set(&now, &change, c->world, &refusal, &err)
                              : gate_start(&now, (enum moment)c->moment, c->world, &refusal, &err);
    check_verdict(label, (struct verdict){c->class, c->rule}, rc, refusal, &err);
    CHECK(rc == 0 || memcmp(&now, &before, sizeof(now)) == 0, "%s: half of it", label);
}

static void each_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rule_cases); i++)
        check_rule_case(&rule_cases[i]);
}

static bool has_case(const char *id, bool refused)
{
    for (size_t i = 0; i < ARRAY_LEN(rule_cases); i++) {
        if (strcmp(rule_cases[i].rule, id) == 0 && !rule_cases[i].class == !refused)
            return true;
    }
    return false;
}

/* Every row with a condition has a case that it refuses and one that it lets pass. */
static void rules_are_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_rules; i++) {
        const struct rule *r = &rules[i];

        CHECK(r->why && r->why[0] && r->moments, "%s: a sentence and a moment", r->id);
        if (r->lapsed || r->moments == AT_VALUE || r->moments == AT_CONNECTING)
            continue;
        CHECK(has_case(r->id, true) && has_case(r->id, false), "%s: a case of each kind", r->id);
    }
}

/* QEMU 8.1 to 10.0 refused it, 10.1 and later accept it: ramjet would too, if it
 * had the capability. */
static void lapsed_rules_do_not_refuse(void **state)
{
    const struct rule *c4 = rule_of("C4");
    uint64_t both = IN_SET(CAP_MULTIFD) | IN_SET(CAP_POSTCOPY_RAM);

    (void)state;
    CHECK(c4->lapsed && c4->ours && !rule_refuses(c4, both, both), "C4");
    CHECK(!rules_ask(AT_CAPABILITIES, both, both), "the pair itself");
}

/* --- while a migration runs ------------------------------------------------------------------ */

/* These were seen to take effect at once. */
static const char *const live[] = {
    "max-bandwidth",
    "max-postcopy-bandwidth",
    "downtime-limit",
    "throttle-trigger-threshold",
    "cpu-throttle-initial",
    "cpu-throttle-increment",
    "cpu-throttle-tailslow",
    "max-cpu-throttle",
    "avail-switchover-bandwidth",
    "xbzrle-cache-size",
    "x-checkpoint-delay",
    "vcpu-dirty-limit",
};

static void only_live_parameters_change_under_way(void **state)
{
    static const uint64_t runs[] = {F(OUTGOING), F(INCOMING)};

    (void)state;
    for (int id = 0; id < PARAM_N; id++) {
        const char *name = parameters[id].name;

        for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
            struct settings now, change;
            struct refusal refusal = {0};
            struct error err = {0};

            settings_init(&now);
            change = now;
            OK(settings_say_parameter(&change, (enum parameter)id, parameters[id].standard,
                                      &refusal, &err),
               err, name);
            int rc = gate_set(&now, &change, runs[i], &refusal, &err);
            check_verdict(name,
                          IN_LIST(live, name) ? (struct verdict){NULL, NULL}
                                              : (struct verdict){"BUSY", "R3"},
                          rc, refusal, &err);
            CHECK(rc == 0 || strstr(err.text, name), "%s: not named in: %s", name, err.text);
        }
    }
}

/* --- settings that are given twice ----------------------------------------------------------- */

static const struct twice_case {
    const char *words;
    bool refused;
} twice_cases[] = {
    {"multifd=on multifd=true", false},
    {"multifd=on multifd=off", true},
    {"multifd=off multifd=on", true},
    {"max-bandwidth=1K max-bandwidth=1024", false},
    {"max-bandwidth=1K max-bandwidth=1025", true},
    {"tls-creds=a tls-creds=a", false},
    {"tls-creds=a tls-creds=b", true},
    {"multifd-zstd-level=-1 multifd-zstd-level=-1", false},
    {"multifd-zstd-level=-1 multifd-zstd-level=1", true},
};

static void order_does_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(twice_cases); i++) {
        const struct twice_case *c = &twice_cases[i];
        struct settings s;
        struct refusal refusal = {0};
        struct error err = {0};
        char words[256];

        settings_init(&s);
        snprintf(words, sizeof(words), "%s", c->words);
        check_verdict(c->words, (struct verdict){c->refused ? "CONFLICT" : NULL, "R2"},
                      say_all(&s, words, &refusal, &err), refusal, &err);
    }
}

static void values_at_hand_are_checked(void **state)
{
    struct settings s;
    struct refusal refusal = {0};
    struct error err = {0};

    (void)state;
    settings_init(&s);
    check_verdict("256 channels", (struct verdict){"RANGE", "P1"},
                  settings_say_parameter(&s, PARAM_MULTIFD_CHANNELS,
                                         (union parameter_value){.number = 256}, &refusal, &err),
                  refusal, &err);
    check_verdict("a method past the last", (struct verdict){"UNKNOWN", "P6"},
                  settings_say_parameter(&s, PARAM_MULTIFD_COMPRESSION,
                                         (union parameter_value){.number = 77}, &refusal, &err),
                  refusal, &err);
    check_verdict("a switch that is neither", (struct verdict){"RANGE", "P1"},
                  settings_say_parameter(&s, PARAM_DIRECT_IO, (union parameter_value){.number = 5},
                                         &refusal, &err),
                  refusal, &err);
    CHECK(!s.explicit_parameters, "said");
}

static void tells_what_is_set(void **state)
{
    char words[256];
    struct settings s = settings_of(
        "multifd=on multifd-channels=7 multifd-compression=zlib multifd-zlib-level=9", words);

    (void)state;
    CHECK(settings_channels(&s) == 7 && settings_level(&s) == 9, "zlib");
    CHECK(settings_number(&s, PARAM_MULTIFD_COMPRESSION) == CODEC_ZLIB, "method");
    s = settings_of("multifd-channels=7 multifd-compression=zlib", words);
    CHECK(settings_channels(&s) == 0 && settings_level(&s) == 1, "zlib");
    CHECK(settings_explicit(&s, PARAM_MULTIFD_CHANNELS) && !settings_explicit(&s, PARAM_MODE) &&
              !settings_explicit_capability(&s, CAP_MULTIFD),
          "said");
    s = settings_of("return-path=on", words);
    CHECK(settings_level(&s) == 0 && settings_on(&s, CAP_RETURN_PATH), "none");
}

static void address_facts(void **state)
{
    static const struct {
        const char *text;
        uint64_t facts;
    } cases[] = {{"tcp:h:1", 0},
                 {"unix:/x", F(UNIX_ADDRESS)},
                 {"vsock:2:1", 0},
                 {"fd:0", F(ONE_CONNECTION)}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address a;
        struct error err;

        OK(address_parse(cases[i].text, &a, &err), err, cases[i].text);
        CHECK(gate_address_facts(&a) == cases[i].facts, "%s", cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),
        cmocka_unit_test(all_off_passes),
        cmocka_unit_test(edges),
        cmocka_unit_test(values),
        cmocka_unit_test(edges_are_complete),
        cmocka_unit_test(long_text_is_refused),
        cmocka_unit_test(each_rule),
        cmocka_unit_test(rules_are_complete),
        cmocka_unit_test(lapsed_rules_do_not_refuse),
        cmocka_unit_test(only_live_parameters_change_under_way),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(values_at_hand_are_checked),
        cmocka_unit_test(tells_what_is_set),
        cmocka_unit_test(address_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
