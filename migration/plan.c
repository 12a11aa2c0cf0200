#include "migration/plan.h"

#include "migration/dialect.h"
#include "multifd/packet.h"
#include "settings/gate.h"

/* --- from settings --------------------------------------------------------------------------- */

/* QEMU counts dirty rates in MB of this many bytes. */
#define MB (UINT64_C(1) << 20)

static unsigned percent(const struct settings *s, enum parameter id)
{
    return (unsigned)settings_number(s, id);
}

void runtime_parameters_of(const struct settings *s, struct runtime_parameters *ret)
{
    uint64_t dirty_mb = settings_number(s, PARAM_VCPU_DIRTY_LIMIT);

    *ret = (struct runtime_parameters){
        .max_bytes_per_s = settings_number(s, PARAM_MAX_BANDWIDTH),
        .downtime_limit_ms = settings_number(s, PARAM_DOWNTIME_LIMIT),
        .switchover_bytes_per_s = settings_number(s, PARAM_AVAIL_SWITCHOVER_BANDWIDTH),
        .throttle_trigger_percent = percent(s, PARAM_THROTTLE_TRIGGER_THRESHOLD),
        .throttle_initial_percent = percent(s, PARAM_CPU_THROTTLE_INITIAL),
        .throttle_increment_percent = percent(s, PARAM_CPU_THROTTLE_INCREMENT),
        .throttle_max_percent = percent(s, PARAM_MAX_CPU_THROTTLE),
        .throttle_tailslow = settings_number(s, PARAM_CPU_THROTTLE_TAILSLOW),
        .vcpu_dirty_bytes_per_s = dirty_mb < UINT64_MAX / MB ? dirty_mb * MB : UINT64_MAX,
    };
}

void ram_set_rules_of(const struct settings *s, struct ram_set_rules *ret)
{
    *ret = (struct ram_set_rules){
        .mode = (enum migration_mode)settings_number(s, PARAM_MODE),
        .ignore_shared = settings_on(s, CAP_X_IGNORE_SHARED),
    };
}

uint32_t stream_capabilities_of(const struct settings *s)
{
    return (settings_on(s, CAP_X_IGNORE_SHARED) ? STREAM_CAP_X_IGNORE_SHARED : 0) |
           (settings_on(s, CAP_MAPPED_RAM) ? STREAM_CAP_MAPPED_RAM : 0);
}

void source_configure(const struct settings *s, struct source_config *ret)
{
    ret->connect.zero_copy = settings_on(s, CAP_ZERO_COPY_SEND);
    ret->n_channels = settings_channels(s);
    ret->method = (enum codec_method)settings_number(s, PARAM_MULTIFD_COMPRESSION);
    ret->level = settings_level(s);
    ret->mapped_ram = settings_on(s, CAP_MAPPED_RAM);
    ret->direct_io = settings_number(s, PARAM_DIRECT_IO);
    ram_set_rules_of(s, &ret->ram);
    ret->stop_first = ret->ram.mode == MODE_CPR_REBOOT;
    /* With cpr-transfer it must be known which end the memory belongs to: the destination is always
     * asked. */
    ret->return_path = settings_on(s, CAP_RETURN_PATH) || ret->ram.mode == MODE_CPR_TRANSFER;
    ret->switchover_ack = settings_on(s, CAP_SWITCHOVER_ACK);
    ret->pause_before_switchover = settings_on(s, CAP_PAUSE_BEFORE_SWITCHOVER);
    ret->auto_converge = settings_on(s, CAP_AUTO_CONVERGE);
    ret->dirty_limit = settings_on(s, CAP_DIRTY_LIMIT);
    runtime_parameters_of(s, &ret->live);
}

void destination_configure(const struct settings *s, struct destination_config *ret)
{
    bool channels_said = settings_explicit_capability(s, CAP_MULTIFD) ||
                         settings_explicit(s, PARAM_MULTIFD_CHANNELS);
    bool method_said = settings_explicit(s, PARAM_MULTIFD_COMPRESSION);

    ret->n_channels = channels_said ? (int)settings_channels(s) : -1;
    ret->method = method_said ? (int)settings_number(s, PARAM_MULTIFD_COMPRESSION) : -1;
    ret->capabilities = stream_capabilities_of(s);
    ret->switchover_ack = settings_on(s, CAP_SWITCHOVER_ACK);
}

/* --- defaults -------------------------------------------------------------------------------- */

/* Threads that read a mapped-ram file where multifd does not set a number. */
#define FILE_THREADS 4

void source_config_init(struct source_config *ret)
{
    struct settings standard;

    *ret = (struct source_config){.checksums = true};
    connect_config_init(&ret->connect);
    settings_init(&standard);
    source_configure(&standard, ret);
}

void destination_config_init(struct destination_config *ret)
{
    *ret = (struct destination_config){
        .n_channels = -1, .method = -1, .file_threads = FILE_THREADS, .checksums = true};
    connect_config_init(&ret->connect);
}

/* --- what must not be ------------------------------------------------------------------------ */

/* What the config says, as capabilities and facts for the rules. */
static uint64_t facts_of(const struct source_config *c)
{
    const struct {
        unsigned bit; /* enum capability or enum fact */
        bool holds;
    } facts[] = {
        {CAP_MULTIFD, c->n_channels > 0},
        {CAP_MAPPED_RAM, c->mapped_ram},
        {CAP_RETURN_PATH, c->return_path},
        {CAP_SWITCHOVER_ACK, c->switchover_ack},
        {CAP_PAUSE_BEFORE_SWITCHOVER, c->pause_before_switchover},
        {CAP_AUTO_CONVERGE, c->auto_converge},
        {CAP_DIRTY_LIMIT, c->dirty_limit},
        {CAP_ZERO_COPY_SEND, c->connect.zero_copy},
        {CAP_X_IGNORE_SHARED, c->ram.ignore_shared},
        {FACT_TLS, c->connect.tls},
        {FACT_COMPRESSED, c->method != CODEC_NONE},
        {FACT_DIRECT_IO, c->direct_io},
        {FACT_CPR, c->ram.mode != MODE_NORMAL},
        {FACT_CPR_TRANSFER, c->ram.mode == MODE_CPR_TRANSFER},
        {FACT_CPR_EXEC, c->ram.mode == MODE_CPR_EXEC},
        {FACT_CPR_EXEC_COMMAND, c->replace},
        {FACT_CPR_CHANNEL, c->hand_over},
    };
    uint64_t have = gate_address_facts(&c->connect.address);

    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        have |= facts[i].holds ? IN_SET(facts[i].bit) : 0;
    return have;
}

static int check(const struct source_config *c, struct error *err)
{
    const struct rule *rule =
        rules_ask(AT_CAPABILITIES | AT_PARAMETERS | AT_MIGRATE, facts_of(c), 0);
    struct refusal ignored;

    if (c->n_channels > MULTIFD_CHANNELS_MAX)
        return err_set(err, ERR_USAGE, "%u channels, expected 0 to %d", c->n_channels,
                       MULTIFD_CHANNELS_MAX);
    return rule ? rule_say(rule, NULL, NULL, &ignored, err) : 0;
}

/* --- what follows ---------------------------------------------------------------------------- */

static enum plan_pages pages_of(const struct source_config *c)
{
    if (c->mapped_ram)
        return PAGES_IN_PLACE;
    return c->n_channels > 0 ? PAGES_ON_CHANNELS : PAGES_ON_MAIN;
}

/* Only packets need a barrier: records come in order, and in a file every page has its own
 * place. */
static enum ram_flush flush_of(enum plan_pages pages, const struct dialect *dialect)
{
    if (pages != PAGES_ON_CHANNELS)
        return RAM_FLUSH_NONE;
    return dialect->flush_word ? RAM_FLUSH_WORD : RAM_FLUSH_SECTION;
}

static enum converge_by slowed_by(const struct source_config *c)
{
    if (c->dirty_limit)
        return CONVERGE_LIMIT;
    return c->auto_converge ? CONVERGE_THROTTLE : CONVERGE_NOT;
}

int plan_make(const struct source_config *config, const char *machine, struct plan *ret,
              struct error *err)
{
    const struct dialect *dialect = dialect_of(machine);
    enum plan_pages pages = pages_of(config);
    bool has_peer = config->connect.address.scheme != ADDRESS_FILE;
    bool verdict = config->return_path && has_peer;

    if (check(config, err) < 0)
        return -1;
    *ret = (struct plan){
        .pages = pages,
        .n_workers = config->n_channels,
        .zeros_on_main =
            pages == PAGES_ON_MAIN || (pages == PAGES_ON_CHANNELS && !dialect->zeros_in_packets),
        .flush = flush_of(pages, dialect),
        .capabilities = (config->ram.ignore_shared ? STREAM_CAP_X_IGNORE_SHARED : 0) |
                        (config->mapped_ram ? STREAM_CAP_MAPPED_RAM : 0),
        .marks_blocks = config->ram.ignore_shared,
        .switchover_start = dialect->switchover_start,
        .has_peer = has_peer,
        .verdict = verdict,
        .ack = verdict && config->switchover_ack && dialect->ack_awaited,
        .pause = config->pause_before_switchover,
        .still = config->stop_first,
        .slowed = slowed_by(config),
    };
    return 0;
}
