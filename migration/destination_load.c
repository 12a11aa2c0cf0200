#include "migration/destination_load.h"

#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "migration/destination_measure.h"
#include "migration/dialect.h"

/* --- the return path ------------------------------------------------------------------------- */

/*
 * A source with switchover-ack on keeps its guest running until it is told that this end is ready.
 * A source without it may be told as well, if it knows the message.
 */
static bool wants_switchover_ack(const struct destination *m)
{
    if (m->config.measurement) /* the guest must not be stopped */
        return false;
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
    if (value == MEASURE_OFFER && m->config.measurement)
        value = MEASURE_ONLY;
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
        destination_arrive_at(m, MIGRATION_POSTCOPY_ACTIVE);
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
        return m->config.measurement ? destination_measure_stopped(m, err) : 0;
    case COMMAND_SWITCHOVER_MEASURED:
        if (m->config.measurement && m->load.map->n > 0)
            return destination_measure_told(m, c, err);
        return err_set(err, ERR_PEER, "command %s: nothing is measured here", command_name(c->id));
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

    if (m->config.measurement && destination_measure_begin(m, err) < 0)
        return -1;
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
    destination_arrive_at(m, MIGRATION_ACTIVE);
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

static int flush(struct destination *m, const struct ram_load *load, bool word, struct error *err)
{
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

static int on_barrier(struct ram_load *load, bool word, struct error *err)
{
    struct destination *m = CONTAINER_OF(load, struct destination, load);

    if (flush(m, load, word, err) < 0)
        return -1;
    return m->config.measurement ? destination_measure_section(m, load, word, err) : 0;
}

/* The source stops its guest before it writes a last section. */
static int on_ending(struct main_stream *ms, struct error *err)
{
    struct destination *m = CONTAINER_OF(ms, struct destination, stream);

    return m->config.measurement ? destination_measure_stopped(m, err) : 0;
}

static const struct main_stream_ops stream_ops = {
    .configured = on_configured, .command = on_command, .ending = on_ending};
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

int destination_load(struct destination *m, struct error *err)
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
