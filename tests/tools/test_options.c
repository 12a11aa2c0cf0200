#include "tools/options.h"

#include <sched.h>

#include "base/cpus.h"
#include "compress/codec.h"
#include "tests/support/methods.h"
#include "tests/support/test.h"

#define WORDS_MAX 8

static int parse(enum verb_bit verb, const char *const *words, struct options *o, const char **args,
                 size_t max_args, size_t *ret_n, struct error *err)
{
    char *argv[WORDS_MAX];
    int argc = 0;

    for (; words[argc]; argc++)
        argv[argc] = (char *)words[argc];
    return options_parse(verb, argc, argv, o, args, max_args, ret_n, err);
}

static void defaults(void **state)
{
    static const char *const words[] = {"tcp:127.0.0.1:0", "null:", NULL};
    const char *args[2];
    struct options o;
    struct error err;
    size_t n;

    (void)state;
    OK(parse(VERB_RECV, words, &o, args, 2, &n, &err), err, "two words");
    CHECK(n == 2 && strcmp(args[0], "tcp:127.0.0.1:0") == 0 && strcmp(args[1], "null:") == 0,
          "words");
    CHECK(o.engine && o.connect_timeout_ms == 30000 && o.stall_timeout_ms == 30000 && !o.machine &&
              !o.has_uuid && !o.json && !o.force && !o.digest && !o.rules && !o.tls_psk &&
              !o.tls_username && o.progress == PROGRESS_AUTO,
          "other defaults");
    CHECK(!o.settings.explicit_capabilities && !o.settings.explicit_parameters, "nothing was said");
}

/* Defaults of this program that differ from QEMU's. */
static void own_settings(void **state)
{
    static const char *const words[] = {NULL};
    struct settings want;
    struct options o;
    struct error err;
    size_t n;

    (void)state;
    OK(parse(VERB_SEND, words, &o, NULL, 0, &n, &err), err, "no words");
    settings_init(&want);
    want.capabilities = IN_SET(CAP_RETURN_PATH) | IN_SET(CAP_MULTIFD);
    want.parameters[PARAM_MAX_BANDWIDTH].number = 0;
    want.parameters[PARAM_MULTIFD_ZSTD_LEVEL].level = -2;
    CHECK(memcmp(&o.settings, &want, sizeof(want)) == 0, "settings");
}

static void everything(void **state)
{
    static const char *const recv[] = {"--channels=7",        "--machine", "pc-q35-10.0", "a",
                                       "--connect-timeout=5", "--json",    "--force",     NULL};
    static const char *const send[] = {"--max-bandwidth=10Gbit",
                                       "--downtime-limit",
                                       "50",
                                       "--set",
                                       "return-path=off",
                                       "--uuid",
                                       "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
                                       NULL};
    static const char *const rest[] = {
        "--stall-timeout=1.5s", "--engine", "socket", "--compress=none",
        "--progress=never",     "--digest", "--",     NULL};
    const char *args[2];
    struct options o;
    struct error err;
    size_t n;

    (void)state;
    OK(parse(VERB_RECV, recv, &o, args, 2, &n, &err), err, "recv");
    CHECK(settings_channels(&o.settings) == 7 && strcmp(o.machine, "pc-q35-10.0") == 0 && n == 1 &&
              o.json && o.force && o.connect_timeout_ms == 5000,
          "recv's");
    OK(parse(VERB_SEND, send, &o, args, 2, &n, &err), err, "send");
    CHECK(settings_number(&o.settings, PARAM_MAX_BANDWIDTH) == 1250000000 &&
              settings_number(&o.settings, PARAM_DOWNTIME_LIMIT) == 50 &&
              !settings_on(&o.settings, CAP_RETURN_PATH) && o.has_uuid && o.uuid.bytes[0] == 0x0f,
          "send's");
    OK(parse(VERB_SEND, rest, &o, args, 2, &n, &err), err, "both's");
    CHECK(o.stall_timeout_ms == 1500 && o.progress == PROGRESS_NEVER && o.digest && n == 0 &&
              settings_number(&o.settings, PARAM_MULTIFD_COMPRESSION) == CODEC_NONE &&
              settings_explicit(&o.settings, PARAM_MULTIFD_COMPRESSION),
          "both's");
}

/* Settings in words of the command line and in QEMU's words give the same. */
static void vm_options(void **state)
{
    static const char *const nothing[] = {NULL};
    static const char *const words[] = {"--guest", "counter",        "--memory=1G", "--cpus",
                                        "16",      "--run-for=1.5s", "--json",      "--accel=synth",
                                        NULL};
    struct options o;
    struct error err;
    size_t n;

    (void)state;
    OK(parse(VERB_VM, nothing, &o, NULL, 0, &n, &err), err, "nothing");
    CHECK(!o.guest && o.memory_bytes == 64 << 20 && o.cpus == 1 && o.run_for_ms == 0 &&
              o.accel == ACCEL_BEST,
          "defaults");
    OK(parse(VERB_VM, words, &o, NULL, 0, &n, &err), err, "all of them");
    CHECK(strcmp(o.guest, "counter") == 0 && o.memory_bytes == 1 << 30 && o.cpus == 16 &&
              o.run_for_ms == 1500 && o.json && o.accel == ACCEL_SYNTH,
          "other values");
}

static const struct memory_case {
    const char *words[WORDS_MAX];
    enum memory_kind kind;
    const char *numa;
    enum dirty_kind dirty;
    unsigned dirty_ring;
} memory_cases[] = {
    {{NULL}, MEMORY_ANON, NULL, DIRTY_LOG, 0},
    {{"--backend", "memfd", "--dirty-source=uffd"}, MEMORY_MEMFD, NULL, DIRTY_UFFD, 0},
    {{"--numa", "0-1", "--backend=hugetlb:1G"}, MEMORY_HUGETLB, "0-1", DIRTY_LOG, 0},
    {{"--backend=file:/x", "--numa=2"}, MEMORY_FILE, "2", DIRTY_LOG, 0},
    {{"--dirty-ring", "1024"}, MEMORY_ANON, NULL, DIRTY_RING, 1024},
    {{"--dirty-source", "ring"}, MEMORY_ANON, NULL, DIRTY_RING, 0},
    /* The machine refuses these, in either order. */
    {{"--dirty-source", "log", "--dirty-ring=1024"}, MEMORY_ANON, NULL, DIRTY_LOG, 1024},
    {{"--dirty-ring=1024", "--dirty-source", "log"}, MEMORY_ANON, NULL, DIRTY_LOG, 1024},
};

static void vm_memory_options(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(memory_cases); i++) {
        const struct memory_case *c = &memory_cases[i];
        struct options o;
        struct error err;
        size_t n;

        OK(parse(VERB_VM, c->words, &o, NULL, 0, &n, &err), err, "memory");
        CHECK(o.backing.kind == c->kind && o.dirty == c->dirty && o.dirty_ring == c->dirty_ring,
              "case %zu", i);
        CHECK(!o.backing.numa == !c->numa && (!c->numa || strcmp(o.backing.numa, c->numa) == 0),
              "case %zu: nodes", i);
    }
}

static const struct same_case {
    const char *label;
    enum verb_bit verb;
    const char *short_words[WORDS_MAX], *qemu_words[WORDS_MAX];
} same_cases[] = {
    {"channels",
     VERB_SEND,
     {"--channels", "7"},
     {"--set", "multifd-channels=7", "--set", "multifd=on"}},
    {"no channels", VERB_RECV, {"--channels=0"}, {"--set=multifd=off"}},
    {"method", VERB_SEND, {"--compress", "zlib"}, {"--set", "multifd-compression=zlib"}},
    {"method and level",
     VERB_SEND,
     {"--compress=zlib:9"},
     {"--set=multifd-zlib-level=9", "--set=multifd-compression=zlib"}},
    {"a negative level",
     VERB_SEND,
     {"--compress=zstd:-7"},
     {"--set=multifd-zstd-level=-7", "--set=multifd-compression=zstd"}},
    {"zero-copy", VERB_SEND, {"--zero-copy"}, {"--set=zero-copy-send=on"}},
    {"a rate", VERB_SEND, {"--max-bandwidth=8Kbit"}, {"--set=max-bandwidth=1000"}},
    {"a time", VERB_SEND, {"--downtime-limit=2s"}, {"--set=downtime-limit=2000"}},
    {"TLS", VERB_RECV, {"--tls-creds=x"}, {"--set=tls-creds=x"}},
    {"name", VERB_SEND, {"--tls-hostname=x"}, {"--set=tls-hostname=x"}},
    {"peer", VERB_RECV, {"--tls-authz=CN=x"}, {"--set=tls-authz=CN=x"}},
    {"order",
     VERB_SEND,
     {"--set=zero-copy-send=on", "--channels=3", "--set=multifd-compression=none"},
     {"--compress=none", "--channels=3", "--zero-copy"}},
    {"given twice", VERB_SEND, {"--channels=3", "--channels=3"}, {"--channels=3"}},
};

static unsigned channels_of(enum verb_bit verb, const char *word)
{
    const char *words[WORDS_MAX] = {word};
    struct options o;
    struct error err;
    size_t n;

    OK(parse(verb, words, &o, NULL, 0, &n, &err), err, "channels");
    return settings_channels(&o.settings);
}

/* One channel for each CPU, within limits; the default is used only where it is set at
 * both ends alike. */
static void channels_by_cpus(void **state)
{
    unsigned want = MAX(MIN(cpus_usable(), 16U), 2U);
    cpu_set_t before, one;

    (void)state;
    CHECK(channels_of(VERB_SEND, "--channels=auto") == want, "send, expected %u", want);
    CHECK(channels_of(VERB_MIGRATE, "--channels=auto") == want, "migrate, expected %u", want);
    CHECK(channels_of(VERB_MIGRATE, "--json") == want, "migrate by default, expected %u", want);
    CHECK(channels_of(VERB_SEND, "--json") == 2, "send by default");
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++) {
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);
    }
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    unsigned n = channels_of(VERB_SEND, "--channels=auto");
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    CHECK(n == 2, "%u on one CPU, expected 2", n);
}

static bool equal_settings(const struct settings *a, const struct settings *b)
{
    if (a->capabilities != b->capabilities ||
        a->explicit_capabilities != b->explicit_capabilities ||
        a->explicit_parameters != b->explicit_parameters)
        return false;
    for (int i = 0; i < PARAM_N; i++) {
        if (!parameter_equal((enum parameter)i, a->parameters[i], b->parameters[i]))
            return false;
    }
    return true;
}

/* Whether this build has what a row packs with; if not, says why the row is skipped. */
static bool packs_here(const char *label, const char *const *words)
{
    for (size_t i = 0; i < WORDS_MAX && words[i]; i++) {
        if (strstr(words[i], "--compress=zstd") && !method_is_here(label, CODEC_ZSTD))
            return false;
    }
    return true;
}

static void same_settings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(same_cases); i++) {
        const struct same_case *c = &same_cases[i];
        struct options a, b;
        struct error err;
        size_t n;

        if (!packs_here(c->label, c->short_words))
            continue;
        OK(parse(c->verb, c->short_words, &a, NULL, 0, &n, &err), err, c->label);
        OK(parse(c->verb, c->qemu_words, &b, NULL, 0, &n, &err), err, c->label);
        CHECK(equal_settings(&a.settings, &b.settings), "%s: not the same", c->label);
        CHECK(a.settings.explicit_capabilities | a.settings.explicit_parameters, "%s: not said",
              c->label);
    }
}

static void tls_options(void **state)
{
    static const char *const words[] = {"--tls-psk=/k", "--tls-username", "me", NULL};
    struct options o;
    struct error err;
    size_t n;

    (void)state;
    OK(parse(VERB_SEND, words, &o, NULL, 0, &n, &err), err, "PSK");
    CHECK(strcmp(o.tls_psk, "/k") == 0 && strcmp(o.tls_username, "me") == 0, "PSK");
}

/* --- at the start ---------------------------------------------------------------------------- */

static const struct start_case {
    const char *label;
    enum verb_bit verb;
    const char *words[WORDS_MAX];
    bool many;
    unsigned channels;   /* where it passes */
    const char *refused; /* NULL: passes */
} start_cases[] = {
    {"the default", VERB_SEND, {NULL}, true, 2, NULL},
    {"the default, one connection", VERB_SEND, {NULL}, false, 0, NULL},
    {"a number", VERB_SEND, {"--set=multifd-channels=4"}, true, 4, NULL},
    {"none", VERB_SEND, {"--channels=0"}, false, 0, NULL},
    {"too many", VERB_SEND, {"--channels=2"}, false, 0, "multifd needs many connections"},
    {"too many", VERB_SEND, {"--set=multifd-channels=4"}, false, 0, "(rule M3)"},
    {"too many", VERB_RECV, {"--set=multifd=on"}, false, 0, "(rule M3)"},
    {"packs nothing", VERB_SEND, {"--compress=zlib", "--channels=0"}, true, 0, "(rule R7)"},
    {"a method", VERB_SEND, {"--compress=zlib"}, true, 2, NULL},
    {"TLS", VERB_RECV, {"--tls-psk=x"}, true, 2, NULL},
    {"zero-copy", VERB_SEND, {"--zero-copy"}, true, 2, NULL},
};

static void starts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(start_cases); i++) {
        const struct start_case *c = &start_cases[i];
        enum moment moment = c->verb == VERB_SEND ? AT_MIGRATE : AT_INCOMING;
        struct options o;
        struct error err;
        size_t n;

        OK(parse(c->verb, c->words, &o, NULL, 0, &n, &err), err, c->label);
        uint64_t facts = c->many ? 0 : IN_SET(FACT_ONE_CONNECTION);
        int rc = options_start(&o, moment, facts, &err);
        if (c->refused) {
            check_refused(c->label, rc, &err, ERR_USAGE, c->refused);
        } else {
            OK(rc, err, c->label);
            CHECK(settings_channels(&o.settings) == c->channels, "%s: %u channels", c->label,
                  settings_channels(&o.settings));
        }
    }
}

static const struct bad_case {
    const char *label;
    enum verb_bit verb;
    const char *words[WORDS_MAX];
    const char *refused;
} bad_cases[] = {
    {"unknown", VERB_RECV, {"--nothing"}, "unknown option '--nothing'"},
    {"short", VERB_RECV, {"-c", "2"}, "unknown option '-c'"},
    {"a part of one", VERB_RECV, {"--channel", "2"}, "'--channel'; did you mean '--channels'?"},
    {"mistyped",
     VERB_SEND,
     {"--chanels=2"},
     "unknown option '--chanels'; did you mean '--channels'"},
    {"not offered", VERB_RECV, {"--tls-hostnam=x"}, "unknown option '--tls-hostnam'"},
    {"of another verb", VERB_INFO, {"--max-bandwidth", "1G"}, "unknown option '--max-bandwidth'"},
    {"of another verb", VERB_SEND, {"--force"}, "unknown option '--force'"},
    {"of another verb", VERB_VM, {"--channels", "2"}, "unknown option '--channels'"},
    {"of another verb", VERB_SEND, {"--guest", "counter"}, "unknown option '--guest'"},
    {"vCPUs", VERB_VM, {"--cpus", "256"}, "--cpus: '256'"},
    {"memory", VERB_VM, {"--memory", "lots"}, "--memory: "},
    {"backend", VERB_VM, {"--backend", "paper"}, "--backend: memory 'paper', expected anon|memfd|"},
    {"source", VERB_VM, {"--dirty-source", "rings"}, "expected log|ring|uffd"},
    {"ring", VERB_VM, {"--dirty-ring", "0"}, "--dirty-ring: '0', expected a number"},
    {"accel", VERB_VM, {"--accel", "tcg"}, "--accel: 'tcg': expected kvm or synth"},
    {"without its value", VERB_SEND, {"--channels"}, "--channels needs N"},
    {"with a value too many", VERB_RECV, {"--json=yes"}, "--json takes no value"},
    {"one word too many", VERB_RECV, {"a", "b", "c"}, "'c': one word too many"},
    {"places", VERB_SEND, {"--cpus=9-1"}, "--cpus: CPUs '9-1', expected auto, numa"},
    {"a place that does not exist", VERB_RECV, {"--cpus=1023"}, "--cpus: CPU 1023 does not exist"},
    {"automatic channels", VERB_RECV, {"--channels=auto"}, "--channels: 'auto': expected a number"},
    {"channels", VERB_SEND, {"--channels", "256"}, "--channels: '256': expected a number"},
    {"channels", VERB_SEND, {"--channels", "-1"}, "--channels: '-1'"},
    {"no method", VERB_RECV, {"--compress=lz4"}, "--compress: multifd-compression: 'lz4'"},
    {"a method of others", VERB_SEND, {"--compress=qpl"}, "'qpl': expected none, zlib"},
    {"no level", VERB_SEND, {"--compress=none:1"}, "--compress: 'none:1': method none has no"},
    {"zlib's level", VERB_SEND, {"--compress=zlib:10"}, "'10': expected 0 to 9 (rule P1)"},
    {"zstd's level", VERB_SEND, {"--compress=zstd:21"}, "'21': expected -131072 to 20 (rule P1)"},
    {"a level of nothing", VERB_SEND, {"--compress=zstd:"}, "multifd-zstd-level: ''"},
    {"a level here", VERB_RECV, {"--compress=zstd:3"}, "multifd-zstd-level: set at the source"},
    {"engine", VERB_RECV, {"--engine=rdma"}, "--engine: engine 'rdma'"},
    {"rate", VERB_SEND, {"--max-bandwidth=fast"}, "--max-bandwidth: 'fast'"},
    {"time", VERB_SEND, {"--downtime-limit=soon"}, "--downtime-limit: 'soon'"},
    {"machine", VERB_RECV, {"--machine="}, "--machine: ''"},
    {"UUID", VERB_RECV, {"--uuid=1"}, "--uuid: '1'"},
    {"downtime", VERB_SEND, {"--downtime-limit=2001s"}, "expected 0 to 2000000 (ms) (rule P1)"},
    {"setting", VERB_SEND, {"--set=return-path=maybe"}, "--set: return-path: 'maybe': expected on"},
    {"setting", VERB_SEND, {"--set=multifd"}, "--set: 'multifd': expected NAME=VALUE"},
    {"setting", VERB_SEND, {"--set==on"}, "--set: '=on': expected NAME=VALUE"},
    {"setting", VERB_SEND, {"--set=speed=on"}, "--set: 'speed': no such setting; see ramjet help"},
    {"setting", VERB_SEND, {"--set=multfid=on"}, "did you mean 'multifd'?"},
    {"setting", VERB_SEND, {"--set=multifd-channels=0"}, "multifd-channels: '0': expected 1 to"},
    {"unbuilt", VERB_SEND, {"--set=xbzrle=on"}, "xbzrle: pages are sent whole in this build"},
    {"no monitor", VERB_SEND, {"--set=pause-before-switchover=on"}, "for migrate-continue; use a"},
    {"no monitor", VERB_RECV, {"--set=events=on"}, "events: this program has no monitor"},
    {"the source's", VERB_RECV, {"--set=auto-converge=on"}, "auto-converge: set at the source"},
    {"clash", VERB_SEND, {"--set=auto-converge=on", "--set=dirty-limit=on"}, "(rule C14)"},
    {"lacks", VERB_SEND, {"--set=switchover-ack=on", "--set=return-path=off"}, "(rule C13)"},
    {"unbuilt", VERB_RECV, {"--set=x-colo=on", "--set=return-path=on"}, "x-colo"},
    {"unbuilt", VERB_SEND, {"--set=announce-max=1"}, "announce-max: there is no network card"},
    {"clash", VERB_SEND, {"--set=xbzrle=on", "--channels=2"}, "switch multifd or xbzrle off (rule"},
    {"clash", VERB_SEND, {"--channels=2", "--set=xbzrle=on"}, "switch multifd or xbzrle off (rule"},
    {"clash", VERB_SEND, {"--zero-copy", "--compress=zlib"}, "(rule C11)"},
    {"clash", VERB_SEND, {"--compress=zlib", "--zero-copy"}, "(rule C11)"},
    {"clash", VERB_SEND, {"--zero-copy", "--tls-psk=x"}, "(rule C11)"},
    {"clash", VERB_SEND, {"--tls-creds=x", "--tls-psk=x"}, "--tls-psk or tls-creds, not both"},
    {"lacks", VERB_SEND, {"--zero-copy", "--channels=0"}, "zero-copy-send needs multifd"},
    {"twice", VERB_SEND, {"--channels=2", "--set=multifd-channels=3"}, "multifd-channels: set"},
    {"twice", VERB_SEND, {"--set=multifd=off", "--channels=3"}, "multifd: set twice"},
    {"twice", VERB_SEND, {"--compress=zlib:3", "--set=multifd-zlib-level=4"}, "level: set twice"},
    {"progress", VERB_SEND, {"--progress=often"}, "--progress: 'often'"},
    {"the source's", VERB_RECV, {"--max-bandwidth", "1G"}, "--max-bandwidth: set at the source"},
    {"the source's", VERB_RECV, {"--max-bandwidth=1G"}, "--max-bandwidth: set at the source"},
    {"time", VERB_RECV, {"--downtime-limit=soon"}, "--downtime-limit: 'soon'"},
    {"the source's", VERB_RECV, {"--set=return-path=on"}, "return-path: set at the source (rule"},
    {"the source's", VERB_RECV, {"--set=max-bandwidth=1"}, "max-bandwidth: set at the source"},
    {"the source's", VERB_RECV, {"--zero-copy"}, "--zero-copy: set at the source"},
    {"the source's", VERB_RECV, {"--tls-hostname"}, "--tls-hostname: set at the source"},
    {"the destination's", VERB_SEND, {"--tls-authz"}, "--tls-authz: set at the destination"},
    {"the destination's", VERB_SEND, {"--set=tls-authz=x"}, "tls-authz: set at the destination"},
    {"PSK", VERB_SEND, {"--tls-psk="}, "--tls-psk: expected the path"},
    {"name", VERB_SEND, {"--tls-username=a:b"}, "--tls-username: 'a:b': expected a name"},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++) {
        const struct bad_case *c = &bad_cases[i];
        const char *args[2];
        struct options o;
        struct error err;
        size_t n;

        if (!packs_here(c->label, c->words))
            continue;
        check_refused(c->label, parse(c->verb, c->words, &o, args, 2, &n, &err), &err, ERR_USAGE,
                      c->refused);
    }
}

/* Every option in a verb's help is an option of that verb: alone, it can only lack its value. */
static void help_is_true(void **state)
{
    static const enum verb_bit verbs[] = {VERB_RECV, VERB_SEND, VERB_INFO, VERB_PROBE, VERB_VM};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        char *text = NULL, *line, *rest;
        size_t len = 0;
        FILE *to = open_memstream(&text, &len);

        options_help(verbs[i], to);
        fclose(to);
        rest = text;
        while ((line = strsep(&rest, "\n")) && line[0]) {
            if (line[2] == ' ') /* the text about a long one, in a line of its own */
                continue;
            char name[40];
            struct options o;
            struct error err;
            size_t n;

            CHECK(sscanf(line, "  %39[^ []", name) == 1, "line '%s'", line);
            const char *words[] = {name, NULL};
            if (parse(verbs[i], words, &o, NULL, 0, &n, &err) < 0)
                CHECK(strstr(err.text, " needs "), "%s: %s", name, err.text);
        }
        free(text);
    }
}

/* The one option whose value may be left out: the next word is never its value. */
static void repeat(void **state)
{
    static const char *const forever[] = {"--repeat", "7", NULL}, *const seven[] = {"--repeat=7",
                                                                                    NULL};
    static const char *const none[] = {"--repeat=0", NULL}, *const empty[] = {"--repeat=", NULL};
    const char *args[2];
    struct options o;
    struct error err;
    size_t n;

    (void)state;
    OK(parse(VERB_RECV, forever, &o, args, 2, &n, &err), err, "for ever");
    CHECK(o.repeat && o.repeat_most == 0 && n == 1, "for ever: %u", o.repeat_most);
    OK(parse(VERB_RECV, seven, &o, args, 2, &n, &err), err, "seven");
    CHECK(o.repeat && o.repeat_most == 7 && n == 0, "seven: %u", o.repeat_most);
    check_refused("none", parse(VERB_RECV, none, &o, args, 2, &n, &err), &err, ERR_USAGE,
                  "1 or more");
    check_refused("empty", parse(VERB_RECV, empty, &o, args, 2, &n, &err), &err, ERR_USAGE,
                  "--repeat");
}

/* For two foreign VMs: only they know what they lack, but a combination that never
 * works is refused. */
static void for_two_vms(void **state)
{
    static const char *const unbuilt[] = {"--set=postcopy-ram=on", "--set=dirty-limit=on",
                                          "--set=direct-io=on", "--compress=zlib:3", NULL};
    static const char *const clash[] = {"--set=xbzrle=on", NULL};
    static const struct {
        const char *words[3], *refused;
    } wrong[] = {
        {{"--zero-copy", "--compress=zlib", NULL}, "zero-copy-send"},
        {{"--zero-copy", "--channels=0", NULL}, "multifd"},
        {{"--uri=fd:3", NULL}, "--uri"},
        {{"--uri=exec:cat", NULL}, "--uri"},
        {{"--listen=", NULL}, "--listen"},
        {{"--timeout=soon", NULL}, "--timeout"},
        {{"--engine=uring", NULL}, "unknown option"},
    };
    struct options o;
    struct error err;
    size_t n;

    (void)state;
    OK(parse(VERB_MIGRATE, unbuilt, &o, NULL, 0, &n, &err), err, "not in this build");
    CHECK(settings_on(&o.settings, CAP_POSTCOPY_RAM) && settings_on(&o.settings, CAP_DIRTY_LIMIT) &&
              settings_on(&o.settings, CAP_MULTIFD) && settings_on(&o.settings, CAP_RETURN_PATH) &&
              settings_number(&o.settings, PARAM_DIRECT_IO) && settings_level(&o.settings) == 3 &&
              settings_number(&o.settings, PARAM_MAX_BANDWIDTH) == 0,
          "what was said, over the defaults");
    CHECK(!settings_explicit_capability(&o.settings, CAP_MULTIFD), "a default is not said");
    OK(parse(VERB_MIGRATE, clash, &o, NULL, 0, &n, &err), err, "a default gives way");
    CHECK(settings_on(&o.settings, CAP_XBZRLE) && !settings_on(&o.settings, CAP_MULTIFD),
          "a default gives way");
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        check_refused(wrong[i].refused, parse(VERB_MIGRATE, wrong[i].words, &o, NULL, 0, &n, &err),
                      &err, ERR_USAGE, wrong[i].refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(own_settings),
        cmocka_unit_test(everything),
        cmocka_unit_test(channels_by_cpus),
        cmocka_unit_test(same_settings),
        cmocka_unit_test(tls_options),
        cmocka_unit_test(starts),
        cmocka_unit_test(vm_options),
        cmocka_unit_test(vm_memory_options),
        cmocka_unit_test(refuses),
        cmocka_unit_test(help_is_true),
        cmocka_unit_test(repeat),
        cmocka_unit_test(for_two_vms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
