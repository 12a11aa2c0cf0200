#include "tools/options.h"

#include <string.h>

#include "migration/connect.h"
#include "settings/gate.h"
#include "tools/nearest.h"
#include "tools/notice.h"
#include "tools/option_kind.h"
#include "tools/option_values.h"

#define BOTH (VERB_RECV | VERB_SEND)
#define OUT  (VERB_SEND | VERB_MIGRATE)
#define KEEP (VERB_SAVE | VERB_RESTORE)
#define ALL                                                                                        \
    (VERB_RECV | VERB_SEND | VERB_INFO | VERB_PROBE | VERB_VM | VERB_MIGRATE | KEEP |              \
     VERB_CONVERT | VERB_VERIFY)

/* --- options that may be given again --------------------------------------------------------- */

static int add_monitor(void *options, const char *value, struct error *err)
{
    struct options *o = options;

    if (o->n_monitors == ARRAY_LEN(o->monitors))
        return err_set(err, ERR_USAGE, "more than %zu of them", ARRAY_LEN(o->monitors));
    if (address_parse_of(value, ADDRESSES_SOCKETS, &o->monitors[o->n_monitors], err) < 0)
        return -1;
    o->n_monitors++;
    return 0;
}

/* Parsed when all backends are known: only then can they be checked together. */
static int add_memory_backend(void *options, const char *value, struct error *err)
{
    struct options *o = options;

    if (o->n_backends == ARRAY_LEN(o->backends))
        return err_set(err, ERR_USAGE, "more than %zu of them", ARRAY_LEN(o->backends));
    o->backends[o->n_backends++] = value;
    return 0;
}

/* --- the table ------------------------------------------------------------------------------- */

static const char *const progress_names[] = {"auto", "always", "never", "json", option_names_end};
static const char *const events_names[] = {"json", "text", option_names_end};
static const char *const at_limit_names[] = {
    [AT_LIMIT_CANCEL] = "cancel", [AT_LIMIT_SWITCH] = "switch", option_names_end};
static const char *const on_off_names[] = {[OFF] = "off", [ON] = "on", option_names_end};
static const char *const accel_names[] = {
    [ACCEL_KVM] = "kvm", [ACCEL_SYNTH] = "synth", option_names_end};
static const char *const by_names[] = {[BY_RAMJET] = "ramjet", [BY_VM] = "vm", option_names_end};
static const char *const save_then_names[] = {
    [SAVE_RESUME] = "resume", [SAVE_STOP] = "stop", [SAVE_QUIT] = "quit", option_names_end};
static const char *const restore_then_names[] = {[RESTORE_AS_SAVED] = "as-saved",
                                                 [RESTORE_RUN] = "run",
                                                 [RESTORE_PAUSE] = "pause",
                                                 option_names_end};

/* The member's offset; the compiler refuses a member of another type. */
#define AT(type, member)                                                                           \
    (offsetof(struct options, member) + 0 * sizeof((type *)0 == &((struct options *)0)->member))

/* What an option sets. The last argument may be EXPLICIT(). */
#define TARGET(...)                                                                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define INTO(of, type, member, ...) TARGET(.kind = (of), .offset = AT(type, member), __VA_ARGS__)
#define EXPLICIT(member)            .explicit = AT(bool, member)
#define REFUSED                     TARGET(.kind = OPTION_REFUSED)
#define FLAG(member)                INTO(OPTION_FLAG, bool, member)
#define STRING(member, ...)         INTO(OPTION_STRING, const char *, member, __VA_ARGS__)
#define TEXT(member, what)          INTO(OPTION_TEXT, const char *, member, .expected = (what))
#define COUNT(member, most)         INTO(OPTION_COUNT, unsigned, member, .max = (most))
#define SIZE(member, ...)           INTO(OPTION_SIZE, uint64_t, member, __VA_ARGS__)
#define TIME(member)                INTO(OPTION_TIME, uint64_t, member)
#define CHOICE(type, member, of)    INTO(OPTION_CHOICE, type, member, .names = (of))
#define OWN(type, member, how, ...) INTO(OPTION_OWN, type, member, .set = (how), __VA_ARGS__)
#define WHOLE(how)                  TARGET(.kind = OPTION_OWN, .set = (how)) /* struct options */
#define SETTING_OF(of, ...)         INTO(of, struct settings, settings, __VA_ARGS__)
#define SETTING(name)               SETTING_OF(OPTION_SETTING, .setting = (name))
#define SETTING_RATE(id)            SETTING_OF(OPTION_RATE, .parameter = (id))
#define SETTING_MS(id)              SETTING_OF(OPTION_MS, .parameter = (id))
#define SETTING_OWN(how)            SETTING_OF(OPTION_OWN, .set = (how))

#define ONLY_SOURCE      "set at the source"
#define ONLY_DESTINATION "set at the destination"

static const struct option {
    const char *name;
    const char *value; /* NULL: the option is a switch; "[=N]": N may be left out */
    unsigned verbs;
    struct option_target target;
    const char *help; /* of one that is refused: what the user is told */
} table[] = {
    {"--channels", "N", VERB_RECV, SETTING_OWN(option_channels),
     "multifd connections, 0 to 255: accept only so many (any number)"},
    {"--channels", "N", VERB_SEND, SETTING_OWN(option_channels_or_auto),
     "multifd connections, 0 to 255, 0: main channel only; auto: one per CPU, 2 to 16 (2)"},
    {"--channels", "N", VERB_MIGRATE | KEEP, SETTING_OWN(option_channels_or_auto),
     "multifd connections, 0 to 255, 0: main channel only (auto: one per CPU, 2 to 16)"},
    {"--compress", "METHOD", OUT | KEEP, SETTING_OWN(option_method),
     "none, zlib[:LEVEL] or zstd[:LEVEL] (none)"},
    {"--compress", "METHOD", VERB_RECV, SETTING_OWN(option_method),
     "accept only this method: none, zlib or zstd (any)"},
    {"--zero-copy", NULL, OUT, SETTING("zero-copy-send"),
     "the kernel sends pages without copying them (MSG_ZEROCOPY)"},
    {"--zero-copy", NULL, VERB_RECV, REFUSED, ONLY_SOURCE},
    {"--engine", "NAME", BOTH, OWN(const struct engine *, engine, option_engine),
     "how bytes are moved: auto, socket or uring (auto)"},
    {"--max-bandwidth", "RATE", OUT | KEEP, SETTING_RATE(PARAM_MAX_BANDWIDTH),
     "over all connections, as 200M (bytes/s) or 10Gbit (no limit)"},
    {"--max-bandwidth", NULL, VERB_RECV, REFUSED, ONLY_SOURCE},
    {"--downtime-limit", "TIME", OUT | VERB_SAVE, SETTING_MS(PARAM_DOWNTIME_LIMIT),
     "stop the guest when the rest takes no longer (300ms)"},
    {"--dry-run", NULL, VERB_RECV, FLAG(dry_run),
     "only measure: refuse the guest at the switch-over, so that it goes on at the source"},
    {"--downtime-limit", "TIME", VERB_RECV,
     OWN(uint64_t, source_limit_ms, option_source_limit, EXPLICIT(source_limit_said)),
     "with --dry-run: the source's, for one that waits for switchover-ack (300ms)"},
    {"--listen", "HOST", VERB_MIGRATE, TEXT(listen_host, "a host's name or address"),
     "where TO listens, at any port (127.0.0.1 if both monitors are on this host)"},
    {"--listen", "HOST", VERB_SAVE, TEXT(listen_host, "a host's name or address"),
     "where the VM sends its memory, at any port (a private socket, or 127.0.0.1)"},
    {"--listen", "HOST", VERB_RESTORE, TEXT(listen_host, "a host's name or address"),
     "where the VM listens, at any port (127.0.0.1 if its monitor is on this host)"},
    {"--uri", "URI", VERB_RESTORE, OWN(const char *, uri, option_uri),
     "where the VM listens, in full; if it does already, where it is reached"},
    {"--by", "WHO", VERB_SAVE, CHOICE(enum by, by, by_names),
     "who writes the file: ramjet, or vm, a QEMU since 9.0 or ramjet vm by itself (ramjet)"},
    {"--by", "WHO", VERB_RESTORE, CHOICE(enum by, by, by_names),
     "who reads the file: ramjet, or vm, a QEMU since 9.0 or ramjet vm by itself (ramjet)"},
    {"--then", "WHAT", VERB_SAVE, CHOICE(enum save_then, save_then, save_then_names),
     "the guest afterwards: resume, if it ran; stop; or quit, which ends the VM (resume)"},
    {"--then", "WHAT", VERB_RESTORE, CHOICE(enum restore_then, restore_then, restore_then_names),
     "the guest afterwards: as-saved, run or pause (as-saved)"},
    {"--uri", "URI", VERB_MIGRATE, OWN(const char *, uri, option_uri),
     "where TO listens, in full; if it does already, where FROM reaches it"},
    {"--connect-timeout", "TIME", VERB_MIGRATE | KEEP, TIME(connect_timeout_ms),
     "for connecting to a monitor; 0: for ever (30s)"},
    {"--stall-timeout", "TIME", KEEP, TIME(stall_timeout_ms),
     "for a monitor's answer, and for a VM that falls silent; 0: for ever (30s)"},
    {"--stall-timeout", "TIME", VERB_MIGRATE, TIME(stall_timeout_ms),
     "for a monitor's answer, for cancelling, and for TO to take over; 0: for ever (30s)"},
    {"--timeout", "TIME", OUT, TIME(limits.after_ms),
     "end a migration that takes longer, as --at-limit says; 0: never (0)"},
    {"--max-rounds", "N", OUT, COUNT(limits.rounds, 1000000),
     "end it after so many rounds, as --at-limit says; 0: never (0)"},
    {"--at-limit", "WHAT", OUT, CHOICE(enum at_limit, limits.what, at_limit_names),
     "cancel it, or switch: stop the guest however long the rest takes (cancel)"},
    {"--timeout", "TIME", VERB_SAVE, TIME(limits.after_ms),
     "cancel a migration that takes longer; 0: never (0)"},
    {"--connect-timeout", "TIME", BOTH, TIME(connect_timeout_ms),
     "for connecting, or for the source to come; 0: for ever (30s)"},
    {"--stall-timeout", "TIME", BOTH, TIME(stall_timeout_ms),
     "for a peer that falls silent where it must not; 0: for ever (30s)"},
    {"--connect-timeout", "TIME", VERB_VM, TIME(connect_timeout_ms),
     "for connecting, and for what a source has begun; 0: for ever (30s)"},
    {"--stall-timeout", "TIME", VERB_VM, TIME(stall_timeout_ms),
     "for a peer that falls silent where it must not; 0: for ever (30s)"},
    {"--answer-timeout", "TIME", BOTH | VERB_VM | KEEP, TIME(answer_timeout_ms),
     "for the other end's answer: to a PING, for its verdict, to confirm the switch-over; 0: for "
     "ever (5min)"},
    {"--tls-creds", "DIR", BOTH, SETTING("tls-creds"),
     "TLS, with the certificates of a folder, or its keys.psk, by QEMU's file names"},
    {"--tls-creds", "CREDS", VERB_MIGRATE, SETTING("tls-creds"),
     "TLS: a folder for ramjet vm, the id of an object for QEMU"},
    {"--tls-creds-from", "CREDS", VERB_MIGRATE, STRING(tls_creds_from),
     "for FROM, where they differ"},
    {"--tls-creds-to", "CREDS", VERB_MIGRATE, STRING(tls_creds_to), "for TO"},
    {"--tls-hostname", "NAME", OUT, SETTING("tls-hostname"),
     "the name in the destination's certificate (the host of the address)"},
    {"--tls-hostname", NULL, VERB_RECV, REFUSED, ONLY_SOURCE},
    {"--tls-authz", "NAME", VERB_RECV | VERB_MIGRATE, SETTING("tls-authz"),
     "the name that the source's certificate must have (any)"},
    {"--tls-authz", NULL, VERB_SEND, REFUSED, ONLY_DESTINATION},
    {"--tls-psk", "FILE", BOTH, TEXT(tls_psk, "the path of a file of PSKs"),
     "TLS, with the PSKs of a file as QEMU has it"},
    {"--tls-username", "NAME", VERB_SEND, OWN(const char *, tls_username, option_tls_username),
     "the user of the PSK (qemu)"},
    {"--tls-username", NULL, VERB_RECV, REFUSED, ONLY_SOURCE},
    {"--machine", "TYPE", BOTH, OWN(const char *, machine, option_machine),
     "send: the machine type that is sent; recv: refuse any other, by its full name"},
    {"--uuid", "UUID", BOTH, OWN(struct uuid, uuid, option_uuid, EXPLICIT(has_uuid)),
     "send: the VM's; recv: refuse any other"},
    {"--set", "NAME=VALUE", BOTH | OUT | KEEP, SETTING_OWN(option_setting),
     "any capability or parameter by QEMU's name; ramjet help settings shows them"},
    {"--force", NULL, VERB_RECV | VERB_SAVE | VERB_CONVERT, FLAG(force),
     "replace a target that exists"},
    {"--sync", NULL, VERB_RECV | VERB_SAVE | VERB_CONVERT, FLAG(sync),
     "sync the target and its name to the disk before success is reported"},
    {"--metrics", "WHERE", BOTH | VERB_VM | VERB_MIGRATE,
     OWN(const char *, metrics, option_metrics),
     "figures for Prometheus: at tcp:HOST:PORT or unix:PATH, or in file:PATH for node_exporter"},
    {"--repeat", "[=N]", VERB_RECV, OWN(unsigned, repeat_most, option_repeat, EXPLICIT(repeat)),
     "take one migration after the other, N of them (until a signal), into null: or folder:DIR"},
    {"--checksums", "on|off", VERB_RECV | VERB_SAVE, CHOICE(enum on_off, checksums, on_off_names),
     "of each 2 MiB of a target file:, for ramjet verify (on)"},
    {"--checksums", "on|off", VERB_SEND | VERB_VM | VERB_RESTORE,
     CHOICE(enum on_off, checksums, on_off_names),
     "of each 2 MiB of a mapped-ram file: compared when it is read, written with it (on)"},
    {"--direct", NULL, VERB_VERIFY, FLAG(direct),
     "read pages past the page cache (O_DIRECT): what is on the disk"},
    {"--digest", NULL, BOTH, FLAG(digest), "XXH64 of every RAM block at the end, for comparing"},
    {"--xml", "FILE", VERB_CONVERT, STRING(xml_file),
     "the domain's XML for libvirt (the source's, if it is a libvirt save file)"},
    {"--paused", NULL, VERB_CONVERT, FLAG(paused), "libvirt: restoring it lets no guest run"},
    {"--threads", "N", VERB_CONVERT, COUNT(threads, 255), "that move pages (one per CPU, 2 to 16)"},
    {"--xml", NULL, VERB_INFO, FLAG(xml), "of a libvirt save file: print its domain's XML"},
    {"--rules", NULL, VERB_PROBE, FLAG(rules),
     "the settings and the rules between them, instead of the host"},
    {"--timeout", "TIME", VERB_QMP, TIME(timeout_ms),
     "for connecting and for the answer, together; 0: for ever (30s)"},
    {"--pretty", NULL, VERB_QMP, FLAG(pretty), "the answer indented, over many lines"},
    {"--guest", "NAME[,KEY=VALUE...]", VERB_VM, STRING(guest),
     "what runs: counter, dirtier or idle"},
    {"--payload", "FILE", VERB_VM, STRING(payload),
     "instead: a program of your own, flat or static ELF64"},
    {"--accel", "NAME", VERB_VM, CHOICE(enum accel, accel, accel_names),
     "what runs its vCPUs: kvm, or synth, threads of this program (kvm where there is one)"},
    {"--incoming", "URI", VERB_VM, STRING(incoming),
     "wait for a guest: at tcp:HOST:PORT or unix:PATH, defer until migrate-incoming; or go on from "
     "a snapshot, file:PATH[,offset=N]"},
    {"--cpr", "unix:PATH", VERB_VM, STRING(cpr),
     "with --incoming: take the guest's memory there first, from a VM in mode cpr-transfer"},
    {"--qmp", "ADDRESS", VERB_VM, WHOLE(add_monitor),
     "a monitor at unix:PATH or tcp:HOST:PORT; may be repeated"},
    {"--eager", NULL, VERB_VM, FLAG(eager),
     "read all of a snapshot's memory before its guest runs"},
    {"--paused", NULL, VERB_VM, FLAG(paused), "do not run until cont"},
    {"--name", "NAME", VERB_VM, STRING(name), "what query-name answers"},
    {"--machine", "TYPE", VERB_VM, OWN(const char *, machine, option_machine),
     "the same at both ends (ramjet-1.0)"},
    {"--uuid", "UUID", VERB_VM, OWN(struct uuid, uuid, option_uuid, EXPLICIT(has_uuid)),
     "the VM's"},
    {"--set", "NAME=VALUE", VERB_VM, SETTING_OWN(option_setting),
     "any capability or parameter by QEMU's name, as a monitor could set it"},
    {"--memory", "SIZE", VERB_VM, SIZE(memory_bytes, EXPLICIT(memory_said)),
     "of the guest, 4M to 64G in steps of 2M (64M)"},
    {"--cpus", "N", VERB_VM, COUNT(cpus, 255), "vCPUs, 1 to 16 (1)"},
    {"--backend", "KIND", VERB_VM,
     OWN(struct memory_backing_config, backing, option_backend, EXPLICIT(memory_said)),
     "of its memory: anon, memfd, hugetlb[:2M|1G] or file:PATH (anon)"},
    {"--numa", "NODES", VERB_VM, STRING(backing.numa, EXPLICIT(memory_said)),
     "where its memory must be, as 0,2-3"},
    {"--memory-backend", "LIST", VERB_VM, WHOLE(add_memory_backend),
     "more memory: id=, size=; kind=, path=, page-size=, share=, migratable=, numa=, and addr=, "
     "where the guest has it; may be repeated"},
    {"--dirty-source", "KIND", VERB_VM,
     OWN(enum dirty_kind, dirty, option_dirty_source, EXPLICIT(dirty_said)),
     "what notices its writes: log, ring or uffd (log)"},
    {"--dirty-ring", "N", VERB_VM, OWN(unsigned, dirty_ring, option_entries),
     "entries of each vCPU's ring, a power of two, 1024 to 65536 (4096); chooses ring"},
    {"--run-for", "TIME", VERB_VM, TIME(run_for_ms), "then end it; 0: at a signal (0)"},
    {"--json", NULL, ALL, FLAG(json), "the result as one JSON object on standard output"},
    {"--json", NULL, VERB_QMP, FLAG(json), "a failure, too, as a JSON object on standard output"},
    {"--events", "FORM", VERB_RECV | VERB_VM, CHOICE(enum events_form, events, events_names),
     "with --json, of the lines before the result: json, or text, which version 0.2 does not have "
     "any more (json)"},
    {"--progress", "WHEN", BOTH | OUT | KEEP | VERB_CONVERT | VERB_VERIFY,
     CHOICE(enum progress_mode, progress, progress_names),
     "a line per second on standard error: auto (on a terminal), always, never, or json, an "
     "object"},
    {"--quiet", NULL, ALL | VERB_QMP, FLAG(quiet),
     "or -q: results and errors only, no progress on a terminal"},
    {"--verbose", NULL, ALL | VERB_QMP, FLAG(verbose),
     "or -v: on standard error also the settings, each round and each connection"},
    {"--cpus", "WHERE", BOTH, OWN(const char *, places, option_places),
     "channel threads by turns on the CPUs of a list, as 0,2-3; on NUMA nodes: numa; or auto "
     "(auto)"},
};

/* The long name of an option that has a short one, too. */
static const char *long_name(const char *word, size_t *len)
{
    const char *name = strncmp(word, "-q", *len) == 0   ? "--quiet"
                       : strncmp(word, "-v", *len) == 0 ? "--verbose"
                                                        : NULL;

    if (!name || *len != strlen("-q"))
        return word;
    *len = strlen(name);
    return name;
}

static const struct option *find_option(enum verb_bit verb, const char *word, size_t len)
{
    word = long_name(word, &len);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].verbs & verb && strlen(table[i].name) == len &&
            strncmp(table[i].name, word, len) == 0)
            return &table[i];
    }
    return NULL;
}

static int unknown_option(enum verb_bit verb, const char *word, size_t len, struct error *err)
{
    char hint[NEAREST_TEXT_LEN];
    struct nearest near;

    nearest_begin(&near, word, len);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].verbs & verb && table[i].target.kind != OPTION_REFUSED)
            nearest_offer(&near, table[i].name);
    }
    return err_set(err, ERR_USAGE, "unknown option '%.*s'%s", (int)MIN(len, (size_t)60), word,
                   nearest_text(&near, hint));
}

static bool may_lack_value(const struct option *option)
{
    return option->value[0] == '[';
}

/* One option at argv[*at]; its value is after '=' or in the next word. */
static int parse_option(enum verb_bit verb, int argc, char **argv, int *at, struct options *o,
                        struct error *err)
{
    const char *word = argv[*at], *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const struct option *option = find_option(verb, word, len);
    const char *value = equals ? equals + 1 : NULL;

    if (!option)
        return unknown_option(verb, word, len, err);
    if (option->target.kind == OPTION_REFUSED)
        return err_set(err, ERR_USAGE, "%s: %s", option->name, option->help);
    if (!option->value && equals)
        return err_set(err, ERR_USAGE, "%s takes no value", option->name);
    if (option->value && !equals && !may_lack_value(option)) {
        if (*at + 1 >= argc)
            return err_set(err, ERR_USAGE, "%s needs %s", option->name, option->value);
        value = argv[++*at];
    }
    if (option_set(&option->target, o, value, err) < 0)
        return err_in(err, "%s", option->name);
    return 0;
}

/* --- the whole ------------------------------------------------------------------------------- */

static void options_default(struct options *ret)
{
    struct connect_config standard;

    connect_config_init(&standard);
    *ret = (struct options){
        .engine = standard.engine,
        .connect_timeout_ms = standard.connect_timeout_ms,
        .stall_timeout_ms = standard.stall_timeout_ms,
        .answer_timeout_ms = standard.answer_timeout_ms,
        .timeout_ms = 30000,
        .source_limit_ms = 300,
        .checksums = ON,
        .memory_bytes = UINT64_C(64) << 20,
        .cpus = 1,
        .places = "auto",
    };
    settings_init(&ret->settings);
}

static uint64_t world_of(enum verb_bit verb, const struct options *o)
{
    return (verb == VERB_SEND ? IN_SET(FACT_SOURCE) : 0) |
           (verb == VERB_RECV ? IN_SET(FACT_DESTINATION) | IN_SET(FACT_WAITING) : 0) |
           (o->tls_psk ? IN_SET(FACT_TLS_PSK) : 0) |
           (o->tls_username ? IN_SET(FACT_TLS_USERNAME) : 0);
}

int options_parse(enum verb_bit verb, int argc, char **argv, struct options *ret, const char **args,
                  size_t max_args, size_t *ret_n_args, struct error *err)
{
    bool options_over = false;
    size_t n = 0;

    options_default(ret);
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
    if (ret->quiet && ret->verbose)
        return err_set(err, ERR_USAGE, "--quiet and --verbose: expected one of them");
    notice_choose(ret->quiet, ret->verbose);
    /* The ring alone chooses its dirty source, too; with another the machine refuses it. */
    if (ret->dirty_ring && !ret->dirty_said)
        ret->dirty = DIRTY_RING;
    return own_settings_check(&ret->settings, world_of(verb, ret), verb & (VERB_MIGRATE | KEEP),
                              err);
}

int options_start(struct options *o, enum moment moment, uint64_t address_facts, struct error *err)
{
    enum verb_bit verb = moment == AT_MIGRATE ? VERB_SEND : VERB_RECV;

    return own_settings_start(&o->settings, moment, world_of(verb, o) | address_facts, err);
}

#define HEAD_WIDTH 23

void options_help(enum verb_bit verb, FILE *to)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct option *o = &table[i];
        char head[40];

        if (!(o->verbs & verb) || o->target.kind == OPTION_REFUSED)
            continue;
        snprintf(head, sizeof(head), "%s%s%s", o->name, o->value && !may_lack_value(o) ? " " : "",
                 o->value ? o->value : "");
        if (strlen(head) > HEAD_WIDTH) /* then the text begins in a line of its own */
            fprintf(to, "  %s\n  %-*s  %s\n", head, HEAD_WIDTH, "", o->help);
        else
            fprintf(to, "  %-*s  %s\n", HEAD_WIDTH, head, o->help);
    }
}

void options_each(enum verb_bit verb, void (*each)(void *arg, const struct option_shape *o),
                  void *arg)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct option_target *t = &table[i].target;
        const struct option_shape shape = {
            .name = table[i].name,
            .help = table[i].help,
            .value = table[i].value,
            .names = t->kind == OPTION_CHOICE ? t->names : NULL,
            .sets = t->kind == OPTION_OWN && t->set == option_setting,
        };

        if (table[i].verbs & verb && t->kind != OPTION_REFUSED)
            each(arg, &shape);
    }
}
