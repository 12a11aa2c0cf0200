#include "tools/options.h"

#include <assert.h>
#include <string.h>

#include "base/cpus.h"
#include "base/units.h"
#include "migration/connect.h"
#include "settings/gate.h"

#define BOTH (VERB_RECV | VERB_SEND)
#define OUT  (VERB_SEND | VERB_MIGRATE)
#define ALL  (VERB_RECV | VERB_SEND | VERB_INFO | VERB_PROBE | VERB_VM | VERB_MIGRATE)

/* --- QEMU's settings in other words ---------------------------------------------------------- */

/* Collects the settings; the gate checks them when all are known. */
static int say(struct options *o, const char *name, const char *value, struct error *err)
{
    struct refusal ignored;

    return settings_say(&o->settings, name, value, &ignored, err);
}

static int say_number(struct options *o, enum parameter id, uint64_t number, struct error *err)
{
    struct refusal ignored;

    return settings_say_parameter(&o->settings, id, (union parameter_value){.number = number},
                                  &ignored, err);
}

/* A channel is a thread at both ends. More channels than CPUs that this process may use do not
 * help, and a certain number of them fills the link. */
#define CHANNELS_AUTO_MIN 2U
#define CHANNELS_AUTO_MAX 16U

static uint64_t channels_auto(void)
{
    return MAX(MIN(cpus_usable(), CHANNELS_AUTO_MAX), CHANNELS_AUTO_MIN);
}

static int say_channels(struct options *o, uint64_t n, struct error *err)
{
    if (say(o, "multifd", n ? "on" : "off", err) < 0)
        return -1;
    return n ? say_number(o, PARAM_MULTIFD_CHANNELS, n, err) : 0;
}

static int set_channels(struct options *o, const char *value, struct error *err)
{
    uint64_t n;

    return parse_number(value, 255, &n, err) < 0 ? -1 : say_channels(o, n, err);
}

static int set_channels_or_auto(struct options *o, const char *value, struct error *err)
{
    if (strcmp(value, "auto") == 0)
        return say_channels(o, channels_auto(), err);
    return set_channels(o, value, err);
}

/* METHOD[:LEVEL]; the method's name tells which parameter holds the level. */
static int set_method(struct options *o, const char *value, struct error *err)
{
    char method[24], level_name[48];
    const char *colon = strchr(value, ':');
    size_t len = colon ? (size_t)(colon - value) : strlen(value);

    snprintf(method, sizeof(method), "%.*s", (int)MIN(len, sizeof(method)), value);
    if (say(o, "multifd-compression", method, err) < 0)
        return -1;
    if (!colon)
        return 0;
    snprintf(level_name, sizeof(level_name), "multifd-%s-level", method);
    if (parameter_find(level_name) < 0)
        return err_set(err, ERR_USAGE, "'%.40s': method %s has no level", value, method);
    return say(o, level_name, colon + 1, err);
}

static int set_zero_copy(struct options *o, const char *value, struct error *err)
{
    (void)value;
    return say(o, "zero-copy-send", "on", err);
}

static int set_bandwidth(struct options *o, const char *value, struct error *err)
{
    uint64_t bytes_per_s;

    if (parse_rate(value, &bytes_per_s, err) < 0)
        return -1;
    return say_number(o, PARAM_MAX_BANDWIDTH, bytes_per_s, err);
}

static int set_downtime(struct options *o, const char *value, struct error *err)
{
    uint64_t ms;

    if (parse_duration(value, 1, &ms, err) < 0)
        return -1;
    return say_number(o, PARAM_DOWNTIME_LIMIT, ms, err);
}

static int set_tls_creds(struct options *o, const char *value, struct error *err)
{
    return say(o, "tls-creds", value, err);
}

static int set_tls_hostname(struct options *o, const char *value, struct error *err)
{
    return say(o, "tls-hostname", value, err);
}

static int set_tls_authz(struct options *o, const char *value, struct error *err)
{
    return say(o, "tls-authz", value, err);
}

/* NAME=VALUE; the value may be kept by reference. */
static int set_setting(struct options *o, const char *value, struct error *err)
{
    const char *equals = strchr(value, '=');
    char name[64];

    if (!equals || equals == value || (size_t)(equals - value) >= sizeof(name))
        return err_set(err, ERR_USAGE, "'%.60s': expected NAME=VALUE; see ramjet help settings",
                       value);
    snprintf(name, sizeof(name), "%.*s", (int)(equals - value), value);
    return say(o, name, equals + 1, err);
}

/* --- options of this program ----------------------------------------------------------------- */

static int set_engine(struct options *o, const char *value, struct error *err)
{
    return engine_find(value, &o->engine, err);
}

static int set_connect_timeout(struct options *o, const char *value, struct error *err)
{
    return parse_duration(value, 1000, &o->connect_timeout_ms, err);
}

static int set_stall_timeout(struct options *o, const char *value, struct error *err)
{
    return parse_duration(value, 1000, &o->stall_timeout_ms, err);
}

static int set_answer_timeout(struct options *o, const char *value, struct error *err)
{
    return parse_duration(value, 1000, &o->answer_timeout_ms, err);
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

static int set_tls_psk(struct options *o, const char *value, struct error *err)
{
    if (!value[0])
        return err_set(err, ERR_USAGE, "expected the path of a file of PSKs");
    o->tls_psk = value;
    return 0;
}

static int set_tls_username(struct options *o, const char *value, struct error *err)
{
    if (!value[0] || strlen(value) > 255 || strchr(value, ':'))
        return err_set(err, ERR_USAGE, "'%.40s': expected a name of at most 255 bytes, without ':'",
                       value);
    o->tls_username = value;
    return 0;
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

static int set_sync(struct options *o, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    o->sync = true;
    return 0;
}

static int set_digest(struct options *o, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    o->digest = true;
    return 0;
}

static int set_rules(struct options *o, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    o->rules = true;
    return 0;
}

static int set_timeout(struct options *o, const char *value, struct error *err)
{
    return parse_duration(value, 1000, &o->timeout_ms, err);
}

static int set_cancel_after(struct options *o, const char *value, struct error *err)
{
    return parse_duration(value, 1000, &o->cancel_after_ms, err);
}

static int set_listen(struct options *o, const char *value, struct error *err)
{
    if (!value[0])
        return err_set(err, ERR_USAGE, "expected a host's name or address");
    o->listen_host = value;
    return 0;
}

static int set_uri(struct options *o, const char *value, struct error *err)
{
    struct address a;

    if (address_parse(value, &a, err) == 0 && a.scheme == ADDRESS_FD)
        return err_set(err, ERR_USAGE, "'%.40s': a descriptor is not the same in two programs",
                       value);
    if (address_parse_of(value, ADDRESSES_MONITOR_SAYS, &a, err) < 0)
        return -1;
    o->uri = value;
    return 0;
}

static int set_tls_creds_from(struct options *o, const char *value, struct error *err)
{
    (void)err;
    o->tls_creds_from = value;
    return 0;
}

static int set_tls_creds_to(struct options *o, const char *value, struct error *err)
{
    (void)err;
    o->tls_creds_to = value;
    return 0;
}

static int set_pretty(struct options *o, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    o->pretty = true;
    return 0;
}

static int set_payload(struct options *o, const char *value, struct error *err)
{
    (void)err;
    o->payload = value;
    return 0;
}

static int set_guest(struct options *o, const char *value, struct error *err)
{
    (void)err;
    o->guest = value;
    return 0;
}

static int set_accel(struct options *o, const char *value, struct error *err)
{
    static const char *const names[] = {[ACCEL_KVM] = "kvm", [ACCEL_SYNTH] = "synth"};

    for (size_t i = ACCEL_KVM; i < ARRAY_LEN(names); i++) {
        if (strcmp(value, names[i]) == 0) {
            o->accel = (enum accel)i;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE, "'%.40s': expected kvm or synth", value);
}

static int set_name(struct options *o, const char *value, struct error *err)
{
    (void)err;
    o->name = value;
    return 0;
}

static int set_incoming(struct options *o, const char *value, struct error *err)
{
    (void)err;
    o->incoming = value;
    return 0;
}

static int set_cpr(struct options *o, const char *value, struct error *err)
{
    (void)err;
    o->cpr = value;
    return 0;
}

static int set_paused(struct options *o, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    o->paused = true;
    return 0;
}

static int set_eager(struct options *o, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    o->eager = true;
    return 0;
}

static int set_monitor(struct options *o, const char *value, struct error *err)
{
    if (o->n_monitors == ARRAY_LEN(o->monitors))
        return err_set(err, ERR_USAGE, "more than %zu of them", ARRAY_LEN(o->monitors));
    if (address_parse_of(value, ADDRESSES_SOCKETS, &o->monitors[o->n_monitors], err) < 0)
        return -1;
    o->n_monitors++;
    return 0;
}

static int set_memory(struct options *o, const char *value, struct error *err)
{
    o->memory_said = true;
    return parse_size(value, &o->memory_bytes, err);
}

static int set_cpus(struct options *o, const char *value, struct error *err)
{
    uint64_t n;

    if (parse_number(value, 255, &n, err) < 0)
        return -1;
    o->cpus = (unsigned)n;
    return 0;
}

static int set_backend(struct options *o, const char *value, struct error *err)
{
    const char *numa = o->backing.numa;

    if (memory_backing_parse(value, &o->backing, err) < 0)
        return -1;
    o->backing.numa = numa;
    o->memory_said = true;
    return 0;
}

static int set_places(struct options *o, const char *value, struct error *err)
{
    struct cpu_places *places;

    if (cpu_places_parse(value, &places, err) < 0)
        return -1;
    cpu_places_free(places);
    o->places = value;
    return 0;
}

static int set_numa(struct options *o, const char *value, struct error *err)
{
    (void)err;
    o->backing.numa = value;
    o->memory_said = true;
    return 0;
}

/* Parsed when all backends are known: only then can they be checked together. */
static int set_memory_backend(struct options *o, const char *value, struct error *err)
{
    if (o->n_backends == ARRAY_LEN(o->backends))
        return err_set(err, ERR_USAGE, "more than %zu of them", ARRAY_LEN(o->backends));
    o->backends[o->n_backends++] = value;
    return 0;
}

static int set_dirty_source(struct options *o, const char *value, struct error *err)
{
    o->dirty_said = true;
    return dirty_kind_find(value, &o->dirty, err);
}

/* Alone it chooses the ring as the dirty source, too; with another the machine refuses it. */
static int set_dirty_ring(struct options *o, const char *value, struct error *err)
{
    uint64_t n;

    if (parse_number(value, UINT32_MAX, &n, err) < 0)
        return -1;
    if (n == 0)
        return err_set(err, ERR_USAGE, "'%s', expected a number of entries", value);
    o->dirty_ring = (unsigned)n;
    if (!o->dirty_said)
        o->dirty = DIRTY_RING;
    return 0;
}

static int set_run_for(struct options *o, const char *value, struct error *err)
{
    return parse_duration(value, 1000, &o->run_for_ms, err);
}

/* --- the table ------------------------------------------------------------------------------- */

#define ONLY_SOURCE      "set at the source"
#define ONLY_DESTINATION "set at the destination"

static const struct option {
    const char *name;
    const char *value; /* NULL: the option is a switch */
    unsigned verbs;
    int (*set)(struct options *o, const char *value, struct error *err); /* NULL: refused */
    const char *help; /* of one that is refused: what the user is told */
} table[] = {
    {"--channels", "N", VERB_RECV, set_channels,
     "multifd connections, 0 to 255, and no other number of them (what comes)"},
    {"--channels", "N", VERB_SEND, set_channels_or_auto,
     "multifd connections, 0 to 255, 0: main channel only; auto: one per CPU, 2 to 16 (2)"},
    {"--channels", "N", VERB_MIGRATE, set_channels_or_auto,
     "multifd connections, 0 to 255, 0: main channel only (auto: one per CPU, 2 to 16)"},
    {"--compress", "METHOD", OUT, set_method, "none, zlib[:LEVEL] or zstd[:LEVEL] (none)"},
    {"--compress", "METHOD", VERB_RECV, set_method, "none, zlib or zstd (what comes)"},
    {"--zero-copy", NULL, OUT, set_zero_copy,
     "the kernel takes pages where they lie (MSG_ZEROCOPY)"},
    {"--zero-copy", NULL, VERB_RECV, NULL, ONLY_SOURCE},
    {"--engine", "NAME", BOTH, set_engine, "how bytes are moved: auto, socket or uring (auto)"},
    {"--max-bandwidth", "RATE", OUT, set_bandwidth,
     "over all connections, as 200M (bytes/s) or 10Gbit (no limit)"},
    {"--max-bandwidth", NULL, VERB_RECV, NULL, ONLY_SOURCE},
    {"--downtime-limit", "TIME", OUT, set_downtime,
     "stop the guest when the rest takes no longer (300ms)"},
    {"--downtime-limit", NULL, VERB_RECV, NULL, ONLY_SOURCE},
    {"--listen", "HOST", VERB_MIGRATE, set_listen,
     "where TO listens, at any port (127.0.0.1 if both monitors are on this host)"},
    {"--uri", "URI", VERB_MIGRATE, set_uri,
     "where TO listens, in full; if it does already, where FROM reaches it"},
    {"--connect-timeout", "TIME", VERB_MIGRATE, set_connect_timeout,
     "for connecting to a monitor; 0: for ever (30s)"},
    {"--stall-timeout", "TIME", VERB_MIGRATE, set_stall_timeout,
     "for a monitor's answer, for cancelling, and for TO to take over; 0: for ever (30s)"},
    {"--timeout", "TIME", VERB_MIGRATE, set_cancel_after,
     "cancel what has not ended by then; 0: never (0)"},
    {"--connect-timeout", "TIME", BOTH, set_connect_timeout,
     "for connecting, or for the source to come; 0: for ever (30s)"},
    {"--stall-timeout", "TIME", BOTH, set_stall_timeout,
     "for a peer that falls silent where it must not; 0: for ever (30s)"},
    {"--connect-timeout", "TIME", VERB_VM, set_connect_timeout,
     "for connecting, and for what a source has begun; 0: for ever (30s)"},
    {"--stall-timeout", "TIME", VERB_VM, set_stall_timeout,
     "for a peer that falls silent where it must not; 0: for ever (30s)"},
    {"--answer-timeout", "TIME", BOTH | VERB_VM, set_answer_timeout,
     "for the other end's answer: to a PING, for its verdict, to confirm the switch-over; 0: for "
     "ever (5min)"},
    {"--tls-creds", "DIR", BOTH, set_tls_creds,
     "TLS, with the certificates of a folder, or its keys.psk, by QEMU's file names"},
    {"--tls-creds", "CREDS", VERB_MIGRATE, set_tls_creds,
     "TLS: a folder for ramjet vm, the id of an object for QEMU"},
    {"--tls-creds-from", "CREDS", VERB_MIGRATE, set_tls_creds_from, "for FROM, where they differ"},
    {"--tls-creds-to", "CREDS", VERB_MIGRATE, set_tls_creds_to, "for TO"},
    {"--tls-hostname", "NAME", OUT, set_tls_hostname,
     "the name in the destination's certificate (the host of the address)"},
    {"--tls-hostname", NULL, VERB_RECV, NULL, ONLY_SOURCE},
    {"--tls-authz", "NAME", VERB_RECV | VERB_MIGRATE, set_tls_authz,
     "who the source must be by its certificate (anyone)"},
    {"--tls-authz", NULL, VERB_SEND, NULL, ONLY_DESTINATION},
    {"--tls-psk", "FILE", BOTH, set_tls_psk, "TLS, with the PSKs of a file as QEMU has it"},
    {"--tls-username", "NAME", VERB_SEND, set_tls_username, "whose PSK (qemu)"},
    {"--tls-username", NULL, VERB_RECV, NULL, ONLY_SOURCE},
    {"--machine", "TYPE", BOTH, set_machine,
     "send: call the machine so; recv: refuse any other, by its full name"},
    {"--uuid", "UUID", BOTH, set_uuid, "send: the VM's; recv: refuse any other"},
    {"--set", "NAME=VALUE", BOTH | OUT, set_setting,
     "any capability or parameter by QEMU's name; ramjet help settings shows them"},
    {"--force", NULL, VERB_RECV, set_force, "replace a target that exists"},
    {"--sync", NULL, VERB_RECV, set_sync,
     "the target is on the disk, name and all, before this ends and the source hears of it"},
    {"--digest", NULL, BOTH, set_digest, "XXH64 of every RAM block at the end, for comparing"},
    {"--rules", NULL, VERB_PROBE, set_rules,
     "the settings and the rules between them, instead of the host"},
    {"--timeout", "TIME", VERB_QMP, set_timeout,
     "for connecting and for the answer, together; 0: for ever (30s)"},
    {"--pretty", NULL, VERB_QMP, set_pretty, "the answer indented, over many lines"},
    {"--guest", "NAME[,KEY=VALUE...]", VERB_VM, set_guest, "what runs: counter, dirtier or idle"},
    {"--payload", "FILE", VERB_VM, set_payload,
     "instead: a program of your own, flat or static ELF64"},
    {"--accel", "NAME", VERB_VM, set_accel,
     "who runs it: kvm, or synth, threads of this program (kvm where there is one)"},
    {"--incoming", "URI", VERB_VM, set_incoming,
     "wait for a guest: at tcp:HOST:PORT or unix:PATH, defer until migrate-incoming; or go on from "
     "a snapshot, file:PATH[,offset=N]"},
    {"--cpr", "unix:PATH", VERB_VM, set_cpr,
     "with --incoming: take the guest's memory there first, from a VM in mode cpr-transfer"},
    {"--qmp", "ADDRESS", VERB_VM, set_monitor,
     "a monitor at unix:PATH or tcp:HOST:PORT; may be said again"},
    {"--eager", NULL, VERB_VM, set_eager,
     "read all of a snapshot's memory before its guest goes on"},
    {"--paused", NULL, VERB_VM, set_paused, "do not run until cont"},
    {"--name", "NAME", VERB_VM, set_name, "what query-name answers"},
    {"--machine", "TYPE", VERB_VM, set_machine, "alike at both ends (ramjet-1.0)"},
    {"--uuid", "UUID", VERB_VM, set_uuid, "the VM's"},
    {"--set", "NAME=VALUE", VERB_VM, set_setting,
     "any capability or parameter by QEMU's name, as a monitor could set it"},
    {"--memory", "SIZE", VERB_VM, set_memory, "of the guest, 4M to 64G in steps of 2M (64M)"},
    {"--cpus", "N", VERB_VM, set_cpus, "vCPUs, 1 to 16 (1)"},
    {"--backend", "KIND", VERB_VM, set_backend,
     "of its memory: anon, memfd, hugetlb[:2M|1G] or file:PATH (anon)"},
    {"--numa", "NODES", VERB_VM, set_numa, "where its memory must be, as 0,2-3"},
    {"--memory-backend", "LIST", VERB_VM, set_memory_backend,
     "more memory: id=, size=; kind=, path=, page-size=, share=, migratable=, numa=, and addr=, "
     "where the guest has it; may be said again"},
    {"--dirty-source", "KIND", VERB_VM, set_dirty_source,
     "what notices its writes: log, ring or uffd (log)"},
    {"--dirty-ring", "N", VERB_VM, set_dirty_ring,
     "entries of each vCPU's ring, a power of two, 1024 to 65536 (4096); chooses ring"},
    {"--run-for", "TIME", VERB_VM, set_run_for, "then end it; 0: at a signal (0)"},
    {"--json", NULL, ALL, set_json, "the result as one JSON object on standard output"},
    {"--progress", "WHEN", BOTH | OUT, set_progress,
     "a line per second on standard error: auto (on a terminal), always, never"},
    {"--cpus", "WHERE", BOTH, set_places,
     "channel threads by turns on the CPUs of a list, as 0,2-3; on NUMA nodes: numa; or auto "
     "(auto)"},
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

/* One option at argv[*at]; its value is after '=' or in the next word. */
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
        .memory_bytes = UINT64_C(64) << 20,
        .cpus = 1,
        .places = "auto",
    };
    settings_init(&ret->settings);
}

const struct own_default own_defaults[] = {
    {"return-path", "on", "unless it clashes with what is set"},
    {"multifd", "on", "unless the address is one connection, or it clashes with what is set"},
    {"max-bandwidth", "0", "no limit"},
    {"multifd-zstd-level", "-2", "what --compress zstd means"},
};
const size_t n_own_defaults = ARRAY_LEN(own_defaults);

/* The defaults of this program. `migrate` sets both ends, so it can choose the number of channels;
 * other verbs use QEMU's default, since the other end must be told the same number. */
static void settings_own(enum verb_bit verb, struct settings *ret)
{
    struct refusal refusal;
    struct error err;

    settings_init(ret);
    for (size_t i = 0; i < ARRAY_LEN(own_defaults); i++) {
        int rc = settings_say(ret, own_defaults[i].name, own_defaults[i].value, &refusal, &err);

        assert(rc == 0);
        (void)rc;
    }
    if (verb == VERB_MIGRATE)
        ret->parameters[PARAM_MULTIFD_CHANNELS].number = channels_auto();
    ret->explicit_capabilities = ret->explicit_parameters = 0;
}

static uint64_t world_of(enum verb_bit verb, const struct options *o)
{
    return (verb == VERB_SEND ? IN_SET(FACT_SOURCE) : 0) |
           (verb == VERB_RECV ? IN_SET(FACT_DESTINATION) | IN_SET(FACT_WAITING) : 0) |
           (o->tls_psk ? IN_SET(FACT_TLS_PSK) : 0) |
           (o->tls_username ? IN_SET(FACT_TLS_USERNAME) : 0);
}

/*
 * `migrate` drives two VMs that may not be ours and that check their own settings. For it, only
 * combinations that are wrong everywhere are refused here.
 */
static bool is_for_all(enum verb_bit verb, const struct refusal *refusal)
{
    return verb != VERB_MIGRATE || refusal->class == GATE_CONFLICT ||
           refusal->class == GATE_REQUIRES;
}

/*
 * The user's settings over the defaults. If they clash with capabilities that are only our
 * defaults, all of those defaults are switched off.
 */
static int check_settings(enum verb_bit verb, struct options *o, struct error *err)
{
    uint64_t world = world_of(verb, o);
    struct refusal refusal;
    struct settings whole;

    settings_own(verb, &whole);
    int rc = gate_set(&whole, &o->settings, world, &refusal, err);
    if (rc < 0 && refusal.class == GATE_CONFLICT) {
        whole.capabilities = 0;
        rc = gate_set(&whole, &o->settings, world, &refusal, err);
    }
    if (rc < 0 && is_for_all(verb, &refusal))
        return -1;
    settings_overlay(&whole, &o->settings);
    o->settings = whole;
    return 0;
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
    return check_settings(verb, ret, err);
}

/* No setting of the user's needs multifd or counts its channels. */
static bool multifd_is_default(const struct settings *s)
{
    return !settings_explicit_capability(s, CAP_MULTIFD) &&
           !settings_explicit(s, PARAM_MULTIFD_CHANNELS) && !settings_on(s, CAP_ZERO_COPY_SEND);
}

/* An address that has no room for channels: one connection, or a file without places for pages. */
static bool is_one_stream(const struct settings *s, uint64_t address_facts)
{
    return address_facts & IN_SET(FACT_ONE_CONNECTION) ||
           (address_facts & IN_SET(FACT_FILE_ADDRESS) && !settings_on(s, CAP_MAPPED_RAM));
}

int options_start(struct options *o, enum moment moment, uint64_t address_facts, struct error *err)
{
    enum verb_bit verb = moment == AT_MIGRATE ? VERB_SEND : VERB_RECV;
    uint64_t world = world_of(verb, o) | address_facts;
    struct settings *s = &o->settings;
    struct refusal refusal;

    if (is_one_stream(s, address_facts) && multifd_is_default(s))
        s->capabilities &= ~IN_SET(CAP_MULTIFD);
    return gate_start(s, moment, world, &refusal, err);
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
