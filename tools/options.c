#include "tools/options.h"

#include <stdlib.h>
#include <string.h>

#include "tools/units.h"

#define BOTH (VERB_RECV | VERB_SEND)
#define ALL  (VERB_RECV | VERB_SEND | VERB_INFO | VERB_PROBE)

static int set_channels(struct options *o, const char *value, struct error *err)
{
    uint64_t n;

    if (parse_number(value, 255, &n, err) < 0)
        return -1;
    o->channels = (int)n;
    return 0;
}

static int set_method(struct options *o, const char *value, struct error *err)
{
    size_t len = strcspn(value, ":");

    for (int m = CODEC_NONE; m < CODEC_N; m++) {
        const char *name = codec_name((enum codec_method)m);

        if (strlen(name) != len || strncmp(name, value, len) != 0 ||
            !codec_built((enum codec_method)m))
            continue;
        o->method = m;
        o->level = value[len] ? atoi(value + len + 1) : m == CODEC_ZSTD ? -1 : 1;
        return 0;
    }
    return err_set(err, ERR_USAGE, "method '%.32s': expected none, zlib[:LEVEL] or zstd[:LEVEL]",
                   value);
}

static int set_engine(struct options *o, const char *value, struct error *err)
{
    return engine_find(value, &o->engine, err);
}

static int set_bandwidth(struct options *o, const char *value, struct error *err)
{
    return parse_rate(value, &o->max_bytes_per_s, err);
}

static int set_downtime(struct options *o, const char *value, struct error *err)
{
    return parse_duration(value, 1, &o->downtime_limit_ms, err);
}

static int set_connect_timeout(struct options *o, const char *value, struct error *err)
{
    return parse_duration(value, 1000, &o->connect_timeout_ms, err);
}

static int set_stall_timeout(struct options *o, const char *value, struct error *err)
{
    if (parse_duration(value, 1000, &o->stall_timeout_ms, err) < 0)
        return -1;
    o->local_patience_ms = o->stall_timeout_ms;
    return 0;
}

static int set_machine(struct options *o, const char *value, struct error *err)
{
    if (!value[0] || strlen(value) > 127)
        return err_set(err, ERR_USAGE, "'%.40s': expected a machine type like pc-q35-10.0", value);
    o->machine = value;
    return 0;
}

static int set_uuid(struct options *o, const char *value, struct error *err)
{
    if (uuid_parse(value, &o->uuid) < 0)
        return err_set(err, ERR_USAGE, "'%.40s': expected xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
                       value);
    o->has_uuid = true;
    return 0;
}

static int set_setting(struct options *o, const char *value, struct error *err)
{
    if (strcmp(value, "return-path=on") == 0 || strcmp(value, "return-path=off") == 0) {
        o->return_path = strcmp(value, "return-path=on") == 0;
        return 0;
    }
    return err_set(err, ERR_USAGE, "'%.60s': this build sets return-path=on|off only", value);
}

static int set_progress(struct options *o, const char *value, struct error *err)
{
    static const char *const modes[] = {"auto", "always", "never"};

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (strcmp(value, modes[i]) == 0) {
            o->progress = (enum progress_mode)i;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE, "'%.40s': expected auto, always or never", value);
}

static int set_json(struct options *o, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    o->json = true;
    return 0;
}

static int set_force(struct options *o, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    o->force = true;
    return 0;
}

static int set_digest(struct options *o, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    o->digest = true;
    return 0;
}

#define ONLY_SOURCE "set at the source"
#define NO_TLS      "not in this build; use a trusted network or a tunnel"

static const struct option {
    const char *name;
    const char *value; /* NULL: the option is a switch */
    unsigned verbs;
    int (*set)(struct options *o, const char *value, struct error *err); /* NULL: refused */
    const char *help; /* of one that is refused: what the user is told */
} table[] = {
    {"--channels", "N", BOTH, set_channels,
     "multifd connections, 0 to 255; 0: main channel only (send: 2; recv: what comes)"},
    {"--compress", "METHOD", BOTH, set_method,
     "none, zlib[:LEVEL] or zstd[:LEVEL] (send: none; recv: what comes)"},
    {"--engine", "NAME", BOTH, set_engine, "how bytes are moved: auto or socket (auto)"},
    {"--max-bandwidth", "RATE", VERB_SEND, set_bandwidth,
     "over all connections, as 200M (bytes/s) or 10Gbit (no limit)"},
    {"--max-bandwidth", NULL, VERB_RECV, NULL, ONLY_SOURCE},
    {"--downtime-limit", "TIME", VERB_SEND, set_downtime,
     "stop the guest when the rest takes no longer (300ms)"},
    {"--downtime-limit", NULL, VERB_RECV, NULL, ONLY_SOURCE},
    {"--connect-timeout", "TIME", BOTH, set_connect_timeout,
     "for connecting, or for the source to come; 0: for ever (30s)"},
    {"--stall-timeout", "TIME", BOTH, set_stall_timeout,
     "for a peer that falls silent where it must not; 0: for ever (30s; 1s where it is on this "
     "host and must have written already)"},
    {"--machine", "TYPE", BOTH, set_machine,
     "send: call the machine so; recv: refuse any other, by its full name"},
    {"--uuid", "UUID", BOTH, set_uuid, "send: the VM's; recv: refuse any other"},
    {"--set", "NAME=VALUE", VERB_SEND, set_setting,
     "other capabilities and parameters; this build: return-path=on|off (on)"},
    {"--set", NULL, VERB_RECV, NULL, ONLY_SOURCE},
    {"--force", NULL, VERB_RECV, set_force, "replace a target that exists"},
    {"--digest", NULL, BOTH, set_digest, "XXH64 of every RAM block at the end, for comparing"},
    {"--json", NULL, ALL, set_json, "the result as one JSON object on standard output"},
    {"--progress", "WHEN", BOTH, set_progress,
     "a line per second on standard error: auto (on a terminal), always, never"},
    {"--zero-copy", NULL, BOTH, NULL, "not in this build; pages are copied by the kernel"},
    {"--tls-creds", NULL, BOTH, NULL, NO_TLS},
    {"--tls-psk", NULL, BOTH, NULL, NO_TLS},
    {"--tls-hostname", NULL, BOTH, NULL, NO_TLS},
    {"--cpus", NULL, BOTH, NULL, "not in this build; use taskset"},
};

static const struct option *find_option(enum verb_bit verb, const char *word, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].verbs & verb && strlen(table[i].name) == len &&
            strncmp(table[i].name, word, len) == 0)
            return &table[i];
    }
    return NULL;
}

/* One option at argv[*at], its value behind '=' or in the next word. */
static int parse_option(enum verb_bit verb, int argc, char **argv, int *at, struct options *o,
                        struct error *err)
{
    const char *word = argv[*at], *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const struct option *option = find_option(verb, word, len);
    const char *value = equals ? equals + 1 : NULL;

    if (!option)
        return err_set(err, ERR_USAGE, "unknown option '%.*s'", (int)MIN(len, (size_t)60), word);
    if (!option->set)
        return err_set(err, ERR_USAGE, "%s: %s", option->name, option->help);
    if (!option->value && equals)
        return err_set(err, ERR_USAGE, "%s takes no value", option->name);
    if (option->value && !equals) {
        if (*at + 1 >= argc)
            return err_set(err, ERR_USAGE, "%s needs %s", option->name, option->value);
        value = argv[++*at];
    }
    if (option->set(o, value, err) < 0)
        return err_in(err, "%s", option->name);
    return 0;
}

static int options_default(struct options *ret, struct error *err)
{
    *ret = (struct options){
        .channels = -1,
        .method = -1,
        .downtime_limit_ms = 300,
        .connect_timeout_ms = 30000,
        .stall_timeout_ms = 30000,
        .local_patience_ms = 1000,
        .return_path = true,
    };
    return engine_find("auto", &ret->engine, err);
}

int options_parse(enum verb_bit verb, int argc, char **argv, struct options *ret, const char **args,
                  size_t max_args, size_t *ret_n_args, struct error *err)
{
    bool options_over = false;
    size_t n = 0;

    if (options_default(ret, err) < 0)
        return -1;
    for (int i = 0; i < argc; i++) {
        if (!options_over && strcmp(argv[i], "--") == 0) {
            options_over = true;
        } else if (!options_over && argv[i][0] == '-' && argv[i][1]) {
            if (parse_option(verb, argc, argv, &i, ret, err) < 0)
                return -1;
        } else {
            if (n == max_args)
                return err_set(err, ERR_USAGE, "'%.60s': one word too many", argv[i]);
            args[n++] = argv[i];
        }
    }
    *ret_n_args = n;
    return 0;
}

void options_help(enum verb_bit verb, FILE *to)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct option *o = &table[i];
        char head[40];

        if (!(o->verbs & verb) || !o->set)
            continue;
        snprintf(head, sizeof(head), "%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(to, "  %-24s %s\n", head, o->help);
    }
}
