#include "tools/options.h"

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
    CHECK(o.channels == -1 && o.method == CODEC_NONE && o.engine && o.max_bytes_per_s == 0 &&
              o.downtime_limit_ms == 300 && o.connect_timeout_ms == 30000 &&
              o.stall_timeout_ms == 30000 && !o.machine && !o.has_uuid && o.return_path &&
              !o.json && !o.force && !o.digest && o.progress == PROGRESS_AUTO,
          "other defaults");
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
    CHECK(o.channels == 7 && strcmp(o.machine, "pc-q35-10.0") == 0 && n == 1 && o.json && o.force &&
              o.connect_timeout_ms == 5000,
          "recv's");
    OK(parse(VERB_SEND, send, &o, args, 2, &n, &err), err, "send");
    CHECK(o.max_bytes_per_s == 1250000000 && o.downtime_limit_ms == 50 && !o.return_path &&
              o.has_uuid && o.uuid.bytes[0] == 0x0f,
          "send's");
    OK(parse(VERB_SEND, rest, &o, args, 2, &n, &err), err, "both's");
    CHECK(o.stall_timeout_ms == 1500 && o.method == CODEC_NONE && o.progress == PROGRESS_NEVER &&
              o.digest && n == 0,
          "both's");
}

static const struct bad_case {
    const char *label;
    enum verb_bit verb;
    const char *words[WORDS_MAX];
    const char *refused;
} bad_cases[] = {
    {"unknown", VERB_RECV, {"--nothing"}, "unknown option '--nothing'"},
    {"short", VERB_RECV, {"-c", "2"}, "unknown option '-c'"},
    {"a part of one", VERB_RECV, {"--channel", "2"}, "unknown option '--channel'"},
    {"of another verb", VERB_INFO, {"--max-bandwidth", "1G"}, "unknown option '--max-bandwidth'"},
    {"of another verb", VERB_SEND, {"--force"}, "unknown option '--force'"},
    {"without its value", VERB_SEND, {"--channels"}, "--channels needs N"},
    {"with a value too many", VERB_RECV, {"--json=yes"}, "--json takes no value"},
    {"one word too many", VERB_RECV, {"a", "b", "c"}, "'c': one word too many"},
    {"channels", VERB_SEND, {"--channels", "256"}, "--channels: '256': expected a number"},
    {"channels", VERB_SEND, {"--channels", "-1"}, "--channels: '-1'"},
    {"method zlib", VERB_SEND, {"--compress", "zlib"}, "--compress: method 'zlib' is not in"},
    {"method zstd", VERB_RECV, {"--compress=zstd:3"}, "--compress: method 'zstd' is not in"},
    {"no method", VERB_RECV, {"--compress=lz4"}, "--compress: method 'lz4'"},
    {"engine", VERB_RECV, {"--engine=uring"}, "--engine: engine 'uring'"},
    {"rate", VERB_SEND, {"--max-bandwidth=fast"}, "--max-bandwidth: 'fast'"},
    {"time", VERB_SEND, {"--downtime-limit=soon"}, "--downtime-limit: 'soon'"},
    {"machine", VERB_RECV, {"--machine="}, "--machine: ''"},
    {"UUID", VERB_RECV, {"--uuid=1"}, "--uuid: '1'"},
    {"setting", VERB_SEND, {"--set=xbzrle=on"}, "--set: 'xbzrle=on'"},
    {"setting", VERB_SEND, {"--set=return-path=maybe"}, "--set: 'return-path=maybe'"},
    {"progress", VERB_SEND, {"--progress=often"}, "--progress: 'often'"},
    {"the source's", VERB_RECV, {"--max-bandwidth", "1G"}, "--max-bandwidth: set at the source"},
    {"the source's", VERB_RECV, {"--max-bandwidth=1G"}, "--max-bandwidth: set at the source"},
    {"the source's", VERB_RECV, {"--downtime-limit"}, "--downtime-limit: set at the source"},
    {"the source's", VERB_RECV, {"--set=return-path=on"}, "--set: set at the source"},
    {"zero-copy", VERB_SEND, {"--zero-copy"}, "--zero-copy: not in this build; pages are copied"},
    {"TLS", VERB_RECV, {"--tls-creds", "x"}, "--tls-creds: not in this build; use a trusted"},
    {"TLS", VERB_SEND, {"--tls-psk=x"}, "--tls-psk: not in this build; use a trusted"},
    {"TLS", VERB_SEND, {"--tls-hostname=x"}, "--tls-hostname: not in this build; use a trusted"},
    {"CPUs", VERB_RECV, {"--cpus", "0-3"}, "--cpus: not in this build; use taskset"},
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

        check_refused(c->label, parse(c->verb, c->words, &o, args, 2, &n, &err), &err, ERR_USAGE,
                      c->refused);
    }
}

/* Every option that help shows is one that its verb takes: alone, it lacks its value at most. */
static void help_is_true(void **state)
{
    static const enum verb_bit verbs[] = {VERB_RECV, VERB_SEND, VERB_INFO, VERB_PROBE};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        char *text = NULL, *line, *rest;
        size_t len = 0;
        FILE *to = open_memstream(&text, &len);

        options_help(verbs[i], to);
        fclose(to);
        rest = text;
        while ((line = strsep(&rest, "\n")) && line[0]) {
            char name[40];
            struct options o;
            struct error err;
            size_t n;

            CHECK(sscanf(line, "  %39s", name) == 1, "line '%s'", line);
            const char *words[] = {name, NULL};
            if (parse(verbs[i], words, &o, NULL, 0, &n, &err) < 0)
                CHECK(strstr(err.text, " needs "), "%s: %s", name, err.text);
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(everything),
        cmocka_unit_test(refuses),
        cmocka_unit_test(help_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
