#include "migration/destination.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "migration/dialect.h"
#include "migration/main_stream.h"
#include "migration/origin.h"
#include "migration/postcopy_in.h"
#include "migration/return_writer.h"
#include "multifd/recv_pool.h"

/* The wait for a command that a source may have sent before it was lost. */
#define LAST_WORD_MS 1000

struct destination {
    /* Set before the threads start, read-only after. */
    struct destination_config config;
    struct target *target;

    struct channel_group group;
    struct recv_pool *pool;
    struct origin *origin;
    struct migration_stats stats;

    /* Used only by the thread that runs the migration. */
    bool listens; /* or has opened its file */
    struct main_stream stream;
    struct ram_load load; /* the stream's loader of RAM */
    struct stream_in in;
    const struct dialect *dialect; /* set when the configuration has been read */
    struct ram_map ram;
    struct populate *populate;
    struct file_mapping mapping; /* memory that is still mapped from the file */
    bool per_section;            /* the end of each section is a barrier */
    struct postcopy_in postcopy;

    bool holds_guest; /* the source was lost before it confirmed: the guest is here, and paused */

    struct channel *main; /* under the group's lock, because statistics read it */
    struct return_writer return_writer;

    _Atomic uint64_t main_normal, main_zero; /* pages in the main stream, for statistics */
};

static void arrive_at(struct destination *m, enum migration_status status)
{
    atomic_store(&m->stats.status, (int)status);
    observer_status(&m->config.observer, status);
}

/* --- the return path ------------------------------------------------------------------------- */

static void farewell(void *arg, const struct error *err)
{
    struct destination *m = arg;

    return_writer_refuse(&m->return_writer, err);
}

/*
 * A source with switchover-ack on keeps its guest running until it is told that this end is ready.
 * A source without it may be told as well, if it knows the message.
 */
static bool wants_switchover_ack(const struct destination *m)
{
    return m->dialect->ack_awaited && (m->dialect->ack_unasked || m->config.switchover_ack);
}

static int open_reply(struct destination *m, struct error *err)
{
    if (!m->origin->ops->has_peer)
        return 0;
    if (return_writer_open(&m->return_writer, m->main, err) < 0)
        return -1;
    return wants_switchover_ack(m)
               ? return_writer_send(&m->return_writer, RETURN_SWITCHOVER_ACK, 0, err)
               : 0;
}

static int answer_ping(struct destination *m, uint32_t value, struct error *err)
{
    if (!m->origin->ops->has_peer)
        return 0;
    if (!return_writer_are_open(&m->return_writer))
        return err_set(err, ERR_PEER, "command PING: the return path is not open");
    if (value != SWITCHOVER_OFFER)
        return return_writer_send(&m->return_writer, RETURN_PONG, value, err);
    m->stream.confirmed = true;
    if (return_writer_send(&m->return_writer, RETURN_PONG, SWITCHOVER_ACCEPTED, err) < 0)
        return -1;
    return return_writer_keep_alive(&m->return_writer, err);
}

/* The source counts on us from the package's end on. */
static int on_postcopy(struct destination *m, const struct command *c, struct error *err)
{
    if (postcopy_in_command(&m->postcopy, &m->load, c, err) < 0)
        return -1;
    if (c->id == COMMAND_POSTCOPY_RUN)
        arrive_at(m, MIGRATION_POSTCOPY_ACTIVE);
    return 0;
}

static int on_command(struct main_stream *ms, const struct command *c, struct error *err)
{
    struct destination *m = CONTAINER_OF(ms, struct destination, stream);
    struct reader r = reader_of(c->payload, c->len);

    switch (c->id) {
    case COMMAND_OPEN_RETURN_PATH:
        return open_reply(m, err);
    case COMMAND_PING:
        return answer_ping(m, get_u32(&r), err);
    case COMMAND_SWITCHOVER_START:
        return 0;
    case COMMAND_POSTCOPY_ADVISE:
    case COMMAND_POSTCOPY_RAM_DISCARD:
    case COMMAND_PACKAGED:
    case COMMAND_POSTCOPY_LISTEN:
    case COMMAND_POSTCOPY_RUN:
        return on_postcopy(m, c, err);
    case COMMAND_SWITCHOVER_RUN:
    case COMMAND_SWITCHOVER_DROP:
        return err_set(err, ERR_PEER, "command %s: the stream is not complete",
                       command_name(c->id));
    default:
        return err_set(err, ERR_PEER,
                       "command %s: expected no recovery, as this is the first connection, and no "
                       "COLO",
                       command_name(c->id));
    }
}

/* --- the stream ------------------------------------------------------------------------------ */

/* True for an alias or a prefix, "pc", "pc-q35", "pc-q35-11": a stream always has the versioned
 * name. */
static bool name_incomplete(const char *machine)
{
    const char *first = strchr(machine, '-'), *last = strrchr(machine, '-');

    if (strncmp(machine, "pc", 2) != 0)
        return false;
    return first == last || !last[1] || last[1 + strspn(last + 1, "0123456789")] == 0 ||
           machine[strlen(machine) - 1] == '.';
}

static int on_configured(struct main_stream *ms, struct error *err)
{
    struct destination *m = CONTAINER_OF(ms, struct destination, stream);
    const struct configuration *c = &ms->config;

    m->dialect = dialect_of(c->machine);
    if (m->config.machine && strcmp(c->machine, m->config.machine) != 0)
        return err_set_with(err, ERR_PEER, REMEDY_MACHINE_TYPE,
                            "machine type: found '%s', expected '%s'", c->machine,
                            m->config.machine);
    if (name_incomplete(c->machine))
        return err_set(err, ERR_PEER, "machine type: found '%s', expected a full versioned name",
                       c->machine);
    if (configuration_expect(c, m->config.capabilities, m->config.open_capabilities, err) < 0)
        return -1;
    m->load.addresses = c->capabilities & STREAM_CAP_X_IGNORE_SHARED;
    m->load.from_file = c->capabilities & STREAM_CAP_MAPPED_RAM;
    if (m->load.from_file && !m->origin->ops->load_pages)
        return err_set(err, ERR_PEER, "mapped-ram: it is for files, expected file:PATH");
    if (m->config.uuid && c->has_uuid &&
        uuid_expect(&c->uuid, m->config.uuid, "configuration/uuid", err) < 0)
        return -1;
    return origin_settle(m->origin, err);
}

/* Every block that travels needs memory and present bits; the target should have given it both. */
static int check_places(const struct ram_map *map, struct error *err)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct ram_block *b = &map->blocks[i];

        if (b->travel == RAM_TRAVELS && (!ram_block_is_here(b) || !b->present))
            return err_set(err, ERR_USAGE, "RAM block '%s': the destination has no place for it",
                           b->name);
    }
    return ram_map_check_host(map, err);
}

static int on_listed(struct ram_load *load, struct error *err)
{
    struct destination *m = CONTAINER_OF(load, struct destination, load);

    if (m->target->ops->listed(m->target, &m->stream.config, &m->stream.devices, load->map, err) <
        0)
        return -1;
    if (check_places(load->map, err) < 0)
        return -1;
    if (populate_new(load->map, m->config.populate_threads, &m->populate, err) < 0)
        return -1;
    origin_proven(m->origin);
    main_stream_may_rest(&m->stream);
    atomic_store(&m->stats.total_bytes, load->map->total_bytes);
    if (m->dialect->clean_tls_end)
        recv_pool_expect_close(m->pool);
    recv_pool_open(m->pool, load->map, m->populate);
    atomic_store(&m->stats.setup_done_ns, clock_ns());
    arrive_at(m, MIGRATION_ACTIVE);
    if (!load->from_file)
        return 0;
    return m->origin->ops->load_pages(m->origin, load->mapped, load->map, &m->mapping, err);
}

/*
 * Whether this place is a barrier between the channels. Machine types ≤ 8.0 have one at the end of
 * every section, newer ones at each FLUSH word. The first section shows which of the two it is,
 * whatever the machine's name says. At the very end 9.1 and 9.2 leave the word out, but send its
 * SYNC packets: there all pages must be in place, with or without the word.
 */
static bool is_barrier(const struct destination *m, const struct ram_load *load, bool word)
{
    if (m->postcopy.running) /* the channels are silent from the switch on */
        return false;
    if (m->per_section)
        return !word;
    return word || (load->section == STREAM_SECTION_END && load->flush_words == 0);
}

static int on_barrier(struct ram_load *load, bool word, struct error *err)
{
    struct destination *m = CONTAINER_OF(load, struct destination, load);
    bool setup = load->section == STREAM_SECTION_START;
    struct uuid uuid;

    atomic_store(&m->main_normal, load->normal);
    atomic_store(&m->main_zero, load->zero);
    if (setup && !word)
        m->per_section = load->flush_words == 0;
    if (!is_barrier(m, load, word))
        return 0;
    /* Sources up to 8.x connect while they write main's first bytes: by now all must be there. */
    if (setup && origin_settle(m->origin, err) < 0)
        return -1;
    if (setup)
        origin_enough(m->origin);
    m->stream.on_channels = recv_pool_channels(m->pool, &uuid) > 0;
    if (!setup && !m->per_section) /* a section is not a round */
        atomic_fetch_add(&m->stats.rounds, 1);
    return recv_pool_flush(m->pool, err);
}

static const struct main_stream_ops stream_ops = {.configured = on_configured,
                                                  .command = on_command};
static const struct ram_load_ops ram_ops = {.listed = on_listed, .barrier = on_barrier};

static int check_uuid(struct destination *m, struct error *err)
{
    struct configuration *c = &m->stream.config;
    struct uuid uuid;

    /* The channels' UUID is the VM's, even where the configuration names none. */
    if (recv_pool_channels(m->pool, &uuid) == 0 || !uuid_is_set(&uuid)) {
        if (m->config.uuid && !m->config.uuid_may_lack && !c->has_uuid)
            return uuid_expect(&(struct uuid){0}, m->config.uuid, "the whole stream", err);
        return 0;
    }
    if (c->has_uuid && uuid_expect(&c->uuid, &uuid, "configuration/uuid", err) < 0)
        return -1;
    c->uuid = uuid;
    c->has_uuid = true;
    return 0;
}

/*
 * With x-ignore-shared the source sends something for every block except those that it leaves out.
 * For a mapped-ram file this is not needed: its list tells which blocks have pages.
 */
static void settle_ignored(struct destination *m)
{
    bool may_ignore = m->stream.config.capabilities & STREAM_CAP_X_IGNORE_SHARED;

    for (size_t i = 0; may_ignore && !m->load.from_file && i < m->ram.n; i++) {
        struct ram_block *b = &m->ram.blocks[i];

        if (b->travel == RAM_TRAVELS && !ram_block_came(b))
            b->travel = RAM_IGNORED;
    }
}

/* Whether main shows that pages travel on channels: it had FLUSH words, which sources write only
 * for their channels, or it had no page. */
static bool pages_elsewhere(const struct destination *m)
{
    return !m->per_section || m->load.normal == 0;
}

static int name_main(const struct destination *m, struct error *err)
{
    const char *name = m->origin->ops->main_name;

    return name ? err_in(err, "%s", name) : -1;
}

static int load(struct destination *m, struct error *err)
{
    if (stream_in_init(&m->in, m->main, err) < 0)
        return -1;
    recv_pool_set_main(m->pool, m->main);
    m->stream.ops = &stream_ops;
    m->stream.in = &m->in;
    ram_load_init(&m->load, &ram_ops, &m->ram);
    section_loaders_add(&m->stream.loaders, &m->load.base);
    m->origin->ops->begin(m->origin, &m->stream, &m->load);
    if (main_stream_read(&m->stream, err) < 0)
        return name_main(m, err);
    if (ram_missing_check(&m->load.missing, err) < 0)
        return name_main(m, err);
    if (check_uuid(m, err) < 0)
        return -1;
    if (recv_pool_finish(m->pool, err) < 0)
        return -1;
    if (origin_check_complete(m->origin, pages_elsewhere(m), err) < 0)
        return -1;
    settle_ignored(m);
    return 0;
}

/* --- the switch-over ------------------------------------------------------------------------- */

static int prepare(struct destination *m, struct error *err)
{
    return target_prepare(m->target, &m->stream.config, &m->ram, &m->stream.devices, err);
}

/*
 * The source has not answered. It may have said RUN: then its guest stays stopped for good, and we
 * must not lose ours. Or it may never have heard us: then its guest runs, and ours must not run
 * until the user says so.
 */
static int hold_guest(struct destination *m, struct error *err)
{
    struct error why;

    m->holds_guest = true;
    if (m->target->ops->keep && m->target->ops->keep(m->target, &why) < 0)
        return err_in(err, "%s; the source was lost before it confirmed the switch-over", why.text);
    return err_in(err, "the source was lost before it confirmed the switch-over: everything has "
                       "arrived, but the source may have gone on with its guest");
}

static int obey(const struct command *c, struct error *err)
{
    if (c->id == COMMAND_SWITCHOVER_RUN)
        return 0;
    if (c->id == COMMAND_SWITCHOVER_DROP)
        return err_set(err, ERR_PEER, MAIN_STREAM_DROPPED);
    return err_set(err, ERR_PEER, "command %s: expected SWITCHOVER_RUN or SWITCHOVER_DROP",
                   command_name(c->id));
}

/* Only the source knows whether the guest may run here: asks it, and waits for its answer. */
static int await_run(struct destination *m, struct error *err)
{
    struct error ignored;
    struct command c;
    size_t len;

    /* A source that was not reached will not answer, but may have sent a word before. */
    bool asked = return_writer_send(&m->return_writer, RETURN_SWITCHOVER_READY, 0, &ignored) == 0;
    atomic_store(&m->main->stall_timeout_ms,
                 asked ? m->config.connect.answer_timeout_ms : LAST_WORD_MS);
    const uint8_t *type = stream_in_peek(&m->in, COMMAND_HEAD_LEN, &len);
    if (channel_group_check(&m->group, err) < 0) /* cancelled: no guest to hold */
        return -1;
    if (!type) {
        (void)!stream_in_check(&m->in, err);
        return hold_guest(m, err);
    }
    if (*type != STREAM_COMMAND)
        return err_set(err, ERR_PEER, "element 0x%02x, expected SWITCHOVER_RUN", *type);
    in_u8(&m->in);
    command_in(&m->in, &c);
    return stream_in_check(&m->in, err) < 0 ? -1 : obey(&c, err);
}

static int refuse(struct destination *m, const struct error *err)
{
    struct error ignored;

    (void)!return_writer_send(&m->return_writer, RETURN_SHUT, return_writer_verdict(err), &ignored);
    return -1;
}

/*
 * From here on only what is done here decides whether the migration succeeds. A connection that
 * fails, or a cancel, comes too late, and must not tell the source otherwise. Where the source
 * confirms the switch-over, a cancel still counts until it has confirmed.
 */
static int switch_over(struct destination *m, struct error *err)
{
    struct error ignored;

    if (channel_group_settle(&m->group, m->stream.confirmed ? SETTLED_FAILURE : SETTLED_ALL, err) <
        0)
        return -1;
    atomic_store(&m->stats.status, MIGRATION_DEVICE);
    if (prepare(m, err) < 0 || (m->stream.confirmed && await_run(m, err) < 0))
        return refuse(m, err);
    if (channel_group_settle(&m->group, SETTLED_ALL, err) < 0)
        return -1;
    if (target_commit(m->target, err) < 0)
        return refuse(m, err);
    /* It is done, whether or not the source is still there to hear of it. */
    (void)!return_writer_send(&m->return_writer, RETURN_SHUT, 0, &ignored);
    return 0;
}

/* Until all memory is the guest's own, the migration counts as running: no other can begin, and the
 * file must stay as it is. */
static int take_over(struct destination *m, struct error *err)
{
    if (!file_mapping_is_left(&m->mapping))
        return 0;
    atomic_store(&m->stats.status, MIGRATION_ACTIVE);
    observer_guest(&m->config.observer, true);
    return m->target->ops->take_over(m->target, &m->mapping, &m->group.cancel, err);
}

int destination_listen(struct destination *m, struct error *err)
{
    int rc = channel_group_check(&m->group, err);

    if (rc == 0 && (rc = m->origin->ops->open(m->origin, err)) < 0)
        channel_group_fail(&m->group, err);
    m->listens = rc == 0;
    return rc;
}

static int await_main(struct destination *m, struct error *err)
{
    struct channel *main;

    if (!m->listens && destination_listen(m, err) < 0)
        return -1;
    if (m->origin->ops->await_main(m->origin, &main, err) < 0)
        return -1;
    pthread_mutex_lock(&m->group.lock);
    m->main = main;
    pthread_mutex_unlock(&m->group.lock);
    return 0;
}

static int run(struct destination *m, struct error *err)
{
    if (await_main(m, err) < 0)
        return -1;
    atomic_store(&m->stats.start_ns, clock_ns());
    arrive_at(m, MIGRATION_SETUP);
    return load(m, err) < 0 || switch_over(m, err) < 0 ? -1 : take_over(m, err);
}

int destination_run(struct destination *m, struct error *err)
{
    int rc = run(m, err);

    if (rc < 0 && m->postcopy.running)
        err_add(err, "; the source has switched to postcopy: its guest stays paused there");
    if (rc < 0 && m->origin->name)
        err_in(err, "%s", m->origin->name);
    if (rc < 0) {
        channel_group_fail(&m->group, err);
        (void)!channel_group_check(&m->group, err); /* the first error, not what followed from it */
    }
    return_writer_end(&m->return_writer);
    atomic_store(&m->stats.end_ns, clock_ns());
    origin_end(m->origin);
    arrive_at(m, rc == 0                      ? MIGRATION_COMPLETED
                 : err->kind == ERR_CANCELLED ? MIGRATION_CANCELLED
                                              : MIGRATION_FAILED);
    return rc;
}

/* The only place that asks whether the origin is a file or a listener. */
static int make_origin(struct destination *m, struct error *err)
{
    const struct acceptor_config listener = {
        .connect = &m->config.connect,
        .group = &m->group,
        .pool = m->pool,
        .refuses_channels = m->config.n_channels == 0,
        .uuid = m->config.uuid,
        .main_any_time = m->config.main_any_time,
        .refused = m->config.observer.refused,
        .arg = m->config.observer.arg,
    };
    const struct origin_file_config file = {
        .connect = &m->config.connect,
        .group = &m->group,
        .n_threads = MAX(m->config.file_threads, 1U),
        .direct_io = m->config.direct_io,
    };

    if (m->config.connect.address.scheme == ADDRESS_FILE)
        return origin_file_new(&file, &m->origin, err);
    return origin_listener_new(&listener, &m->origin, err);
}

static int check_arguments(const struct destination_config *config, const struct target *target,
                           struct error *err)
{
    if (!config)
        return err_set(err, ERR_USAGE, "no configuration of the destination");
    if (!target || !target->ops || !target->ops->listed)
        return err_set(err, ERR_USAGE,
                       "no place for the guest, expected one that takes its blocks");
    if (config->n_channels > MULTIFD_CHANNELS_MAX)
        return err_set(err, ERR_USAGE, "%d channels, expected 0 to %d", config->n_channels,
                       MULTIFD_CHANNELS_MAX);
    if (config->machine && !config->machine[0])
        return err_set(err, ERR_USAGE, "the machine's type has no name, expected one or NULL");
    return connect_config_check(&config->connect, err);
}

int destination_new(const struct destination_config *config, struct target *target,
                    struct destination **ret, struct error *err)
{
    if (check_arguments(config, target, err) < 0)
        return -1;
    struct destination *m = calloc(1, sizeof(*m));

    if (!m)
        return err_sys(err, "memory for a migration");
    m->config = *config;
    m->target = target;
    m->postcopy.allowed = target->ops->bears_postcopy;
    if (channel_group_init(&m->group, 0, err) < 0) {
        free(m);
        return -1;
    }
    m->group.farewell = farewell;
    m->group.farewell_arg = m;
    return_writer_init(&m->return_writer, &m->group);
    struct recv_pool_config pool = {
        .group = &m->group,
        .n_expected = config->n_channels > 0 ? (unsigned)config->n_channels : 0,
        .method = config->method,
        .places = config->places,
        .join_timeout_ms = config->connect.connect_timeout_ms,
        .stall_timeout_ms = config->connect.stall_timeout_ms,
    };
    if (recv_pool_new(&pool, &m->pool, err) < 0 || make_origin(m, err) < 0) {
        destination_free(m);
        return -1;
    }
    *ret = m;
    return 0;
}

const char *destination_address(const struct destination *m)
{
    return m->origin->ops->address(m->origin);
}

void destination_cancel(struct destination *m)
{
    struct error err;

    err_set(&err, ERR_CANCELLED, "cancelled");
    channel_group_fail(&m->group, &err);
    origin_cancel(m->origin);
}

void destination_stats(struct destination *m, struct migration_snapshot *ret)
{
    migration_stats_read(&m->stats, ret);
    ret->normal = atomic_load(&m->main_normal);
    ret->zero = atomic_load(&m->main_zero);
    for (unsigned id = 0; id < MULTIFD_CHANNELS_MAX; id++) {
        struct channel_traffic traffic;
        const struct channel_stats *s = recv_pool_stats(m->pool, id, &traffic);

        if (s)
            migration_snapshot_add(ret, id, s, &traffic);
    }
    pthread_mutex_lock(&m->group.lock);
    if (m->main) {
        ret->wire_bytes += atomic_load_explicit(&m->main->bytes_received, memory_order_relaxed);
        connect_path(&m->config.connect, m->main, &ret->path);
    }
    pthread_mutex_unlock(&m->group.lock);
}

bool destination_holds_guest(const struct destination *m)
{
    return m->holds_guest;
}

const struct ram_map *destination_ram(const struct destination *m)
{
    return &m->ram;
}

void destination_free(struct destination *m)
{
    if (!m)
        return;
    origin_end(m->origin);
    recv_pool_free(m->pool);
    channel_group_drop(&m->group, m->main);
    origin_free(m->origin);
    file_mapping_done(&m->mapping);
    populate_free(m->populate);
    main_stream_done(&m->stream);
    ram_load_done(&m->load);
    stream_in_done(&m->in);
    ram_map_done(&m->ram);
    return_writer_done(&m->return_writer);
    channel_group_done(&m->group);
    free(m);
}
