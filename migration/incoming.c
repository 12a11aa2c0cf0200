#include "migration/incoming.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "migration/main_stream.h"
#include "multifd/recv_pool.h"
#include "stream/return_path.h"

/* Machine types whose sources may wait for a SWITCHOVER_ACK from us. */
#define VERSION_SWITCHOVER_ACK      801
#define VERSION_SWITCHOVER_ACK_LAST 1100

#define MAGIC_LEN 4 /* what a connection's kind is told by */

struct incoming {
    /* Set before the threads start, read-only after. */
    struct incoming_config config;
    struct landing *landing;
    struct listener listener;

    struct channel_group group;
    struct recv_pool *pool;
    struct migration_stats stats;

    /* The running thread's alone. */
    struct main_stream stream;
    struct stream_in in;
    struct ram_map ram;
    struct populate *populate;
    bool per_section; /* the end of each section is a barrier */

    /* Under accept_lock: connections are taken by the acceptor, and by main when it must know. */
    pthread_mutex_t accept_lock;
    pthread_t threads[CHANNEL_GROUP_MAX];
    size_t n_threads;

    pthread_t acceptor;
    bool acceptor_started;

    /* Under the group's lock. */
    struct channel *main;
    uint8_t main_magic[MAGIC_LEN];
    size_t greeting; /* connections whose kind is not known yet */

    /* Return path: written by the main thread and by the first failure. */
    pthread_mutex_t reply_lock;
    bool reply_open, reply_closed;

    _Atomic uint64_t main_normal, main_zero; /* pages in the main stream, for statistics */
};

/* --- connections ----------------------------------------------------------------------------- */

struct arrival {
    struct incoming *m;
    struct channel *channel;
};

static int first_bytes(struct channel *c, void *to, size_t len, const char *what, struct error *err)
{
    struct iovec iov = {to, len};
    size_t got;

    if (channel_recvv(c, &iov, 1, len, 0, &got, err) < 0)
        return err_in(err, "%s", what);
    return 0;
}

static int arrive_main(struct incoming *m, struct channel *c, const uint8_t magic[MAGIC_LEN],
                       struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&m->group.lock);
    if (m->main) {
        rc = err_set(err, ERR_PEER, "a second main connection, expected one");
    } else {
        m->main = c;
        memcpy(m->main_magic, magic, MAGIC_LEN);
    }
    pthread_mutex_unlock(&m->group.lock);
    if (rc < 0)
        connect_close(&m->group, c);
    return rc;
}

static int wrong_uuid(const char *where, const struct uuid *found, const struct uuid *expected,
                      struct error *err)
{
    char theirs[UUID_TEXT_LEN], ours[UUID_TEXT_LEN];

    uuid_format(found, theirs);
    uuid_format(expected, ours);
    return err_set(err, ERR_PEER, "%s: UUID %s, expected %s", where, theirs, ours);
}

/* Takes the channel. */
static int arrive_multifd(struct incoming *m, struct channel *c, const uint8_t magic[MAGIC_LEN],
                          struct recv_channel **ret, struct error *err)
{
    uint8_t bytes[MULTIFD_HELLO_LEN];
    struct multifd_hello hello;

    if (m->config.n_channels == 0) {
        connect_close(&m->group, c);
        return err_set(err, ERR_PEER, "a multifd connection, expected none (--channels 0)");
    }
    memcpy(bytes, magic, MAGIC_LEN);
    if (first_bytes(c, bytes + MAGIC_LEN, sizeof(bytes) - MAGIC_LEN, "multifd hello", err) < 0 ||
        multifd_hello_decode(bytes, &hello, err) < 0) {
        connect_close(&m->group, c);
        return -1;
    }
    if (m->config.uuid && !uuid_equal(m->config.uuid, &hello.uuid)) {
        connect_close(&m->group, c);
        wrong_uuid("multifd hello", &hello.uuid, m->config.uuid, err);
        return err_in(err, "channel %u", hello.id);
    }
    return recv_pool_join(m->pool, c, &hello, ret, err);
}

/*
 * Takes the channel and finds out what it is by its first bytes. *ret is what the caller's thread
 * has to serve then, or NULL.
 */
static int arrive(struct incoming *m, struct channel *c, struct recv_channel **ret,
                  struct error *err)
{
    uint8_t magic[MAGIC_LEN];

    *ret = NULL;
    if (first_bytes(c, magic, sizeof(magic), "connection: first bytes", err) < 0) {
        /* Who says nothing is nobody's channel: a port scan, a health check. */
        bool silent = !m->listener.single && err->kind != ERR_CANCELLED &&
                      atomic_load(&c->bytes_received) == 0;
        connect_close(&m->group, c);
        return silent ? 0 : -1;
    }
    struct reader r = reader_of(magic, sizeof(magic));
    uint32_t value = get_u32(&r);
    if (value == STREAM_MAGIC)
        return arrive_main(m, c, magic, err);
    if (value == MULTIFD_MAGIC)
        return arrive_multifd(m, c, magic, ret, err);
    connect_close(&m->group, c);
    return err_set(err, ERR_PEER,
                   "connection: magic 0x%08x, expected 0x%08x (main) or 0x%08x (multifd)", value,
                   STREAM_MAGIC, MULTIFD_MAGIC);
}

static void *arrival_main(void *arg)
{
    struct arrival a = *(struct arrival *)arg;
    struct recv_channel *joined;
    struct error err;

    free(arg);
    int rc = arrive(a.m, a.channel, &joined, &err);
    if (rc < 0)
        channel_group_fail(&a.m->group, &err);
    pthread_mutex_lock(&a.m->group.lock);
    a.m->greeting--;
    pthread_cond_broadcast(&a.m->group.changed);
    pthread_mutex_unlock(&a.m->group.lock);
    if (joined)
        recv_pool_serve(a.m->pool, joined);
    return NULL;
}

/* Under accept_lock. Takes the channel: one thread for each, since each may keep us waiting. */
static int spawn_arrival(struct incoming *m, struct channel *c, struct error *err)
{
    struct arrival *a = malloc(sizeof(*a));

    if (!a || m->n_threads == ARRAY_LEN(m->threads)) {
        free(a);
        connect_close(&m->group, c);
        return err_set(err, ERR_PEER, "more than %zu connections", ARRAY_LEN(m->threads));
    }
    *a = (struct arrival){.m = m, .channel = c};
    pthread_mutex_lock(&m->group.lock);
    m->greeting++;
    pthread_mutex_unlock(&m->group.lock);
    errno = pthread_create(&m->threads[m->n_threads], NULL, arrival_main, a);
    if (errno) {
        free(a);
        connect_close(&m->group, c);
        return err_sys(err, "thread for a connection");
    }
    m->n_threads++;
    return 0;
}

/* Takes every connection that is waiting now. Any thread. */
static int accept_waiting(struct incoming *m, struct error *err)
{
    struct channel *c = NULL;
    int rc;

    pthread_mutex_lock(&m->accept_lock);
    do {
        rc = connect_accept(&m->config.connect, &m->listener, &m->group, &c, err);
        if (rc == 0 && c)
            rc = spawn_arrival(m, c, err);
    } while (rc == 0 && c);
    pthread_mutex_unlock(&m->accept_lock);
    return rc;
}

/* Sleeps until a connection waits or the group is cancelled; the latter is false. */
static bool poll_listener(struct incoming *m)
{
    struct pollfd p[LISTENER_MAX + 1] = {{.fd = m->group.cancel.fd, .events = POLLIN}};

    for (size_t i = 0; i < m->listener.n; i++)
        p[i + 1] = (struct pollfd){.fd = m->listener.fds[i], .events = POLLIN};
    while (poll(p, m->listener.n + 1, -1) < 0 && errno == EINTR)
        ;
    return !p[0].revents;
}

static void *acceptor_main(void *arg)
{
    struct incoming *m = arg;
    struct error err;

    while (poll_listener(m)) {
        if (accept_waiting(m, &err) < 0) {
            channel_group_fail(&m->group, &err);
            break;
        }
        if (m->listener.single)
            break;
    }
    return NULL;
}

static int await_main(struct incoming *m, struct error *err)
{
    uint64_t deadline = deadline_in_ms(m->config.connect.connect_timeout_ms);
    bool in_time = true;
    int rc = 0;

    pthread_mutex_lock(&m->group.lock);
    while (!m->main && !m->group.failed && in_time)
        in_time = channel_group_wait(&m->group, deadline);
    if (m->group.failed) {
        *err = m->group.err;
        rc = -1;
    } else if (!m->main) {
        rc = err_set(err, ERR_PEER, "%s: no main connection within %.1f s (--connect-timeout)",
                     m->listener.text, (double)m->config.connect.connect_timeout_ms / 1000);
    }
    pthread_mutex_unlock(&m->group.lock);
    return rc;
}

/*
 * A source connects all its channels before it writes main's first byte: those that wait now, and
 * those that have not said yet what they are, belong to this migration.
 */
static int settle_channels(struct incoming *m, struct error *err)
{
    uint64_t patience =
        m->main->local ? m->config.local_patience_ms : m->config.connect.connect_timeout_ms;
    uint64_t deadline = deadline_in_ms(patience);
    bool in_time = true;
    int rc = 0;

    if (accept_waiting(m, err) < 0)
        return -1;
    pthread_mutex_lock(&m->group.lock);
    while (m->greeting > 0 && !m->group.failed && in_time)
        in_time = channel_group_wait(&m->group, deadline);
    if (m->group.failed) {
        *err = m->group.err;
        rc = -1;
    } else if (m->greeting > 0) {
        rc =
            err_set(err, ERR_PEER,
                    "connection: first bytes: incomplete after %.1f s, expected the stream's magic "
                    "or a multifd hello of 64 bytes",
                    (double)patience / 1000);
    }
    pthread_mutex_unlock(&m->group.lock);
    if (rc < 0)
        return -1;
    return recv_pool_complete(m->pool, m->config.n_channels > 0, err);
}

/* --- the return path ------------------------------------------------------------------------- */

static int reply(struct incoming *m, enum return_message type, uint32_t value, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&m->reply_lock);
    if (m->reply_open && !m->reply_closed)
        rc = return_path_send(m->main, type, value, 0, err);
    m->reply_closed |= type == RETURN_SHUT;
    pthread_mutex_unlock(&m->reply_lock);
    return rc;
}

/* What the source is told of an error: a number that its strerror() can make sense of. */
static uint32_t verdict_of(const struct error *err)
{
    if (err->sys > 0)
        return (uint32_t)err->sys;
    return err->kind == ERR_CANCELLED ? ECANCELED : EPROTO;
}

/*
 * Everyone is waiting to be woken: a peer that does not read its return path, now or in a reply
 * that is under way, is not told.
 */
static void farewell(void *arg, const struct error *err)
{
    struct incoming *m = arg;
    struct error ignored;

    if (pthread_mutex_trylock(&m->reply_lock) != 0)
        return;
    if (m->reply_open && !m->reply_closed)
        (void)!return_path_send(m->main, RETURN_SHUT, verdict_of(err), CHANNEL_NOWAIT, &ignored);
    m->reply_closed = true;
    pthread_mutex_unlock(&m->reply_lock);
}

/*
 * A source with switchover-ack on keeps its guest running until it is told that this end is ready;
 * one without does not mind. Sources before 8.1 do not know the message, and with machine types
 * from 11.1 on only devices that we have not are waited for.
 */
static bool wants_switchover_ack(const struct incoming *m)
{
    unsigned version = machine_version(m->stream.config.machine);

    return version >= VERSION_SWITCHOVER_ACK && version <= VERSION_SWITCHOVER_ACK_LAST;
}

static int open_reply(struct incoming *m, struct error *err)
{
    if (m->reply_open)
        return err_set(err, ERR_PEER, "command OPEN_RETURN_PATH: a second one, expected one");
    pthread_mutex_lock(&m->reply_lock);
    m->reply_open = true;
    pthread_mutex_unlock(&m->reply_lock);
    return wants_switchover_ack(m) ? reply(m, RETURN_SWITCHOVER_ACK, 0, err) : 0;
}

static int on_command(struct main_stream *ms, const struct command *c, struct error *err)
{
    struct incoming *m = CONTAINER_OF(ms, struct incoming, stream);
    struct reader r = reader_of(c->payload, c->len);

    switch (c->id) {
    case COMMAND_OPEN_RETURN_PATH:
        return open_reply(m, err);
    case COMMAND_PING:
        if (!m->reply_open)
            return err_set(err, ERR_PEER, "command PING: the return path is not open");
        return reply(m, RETURN_PONG, get_u32(&r), err);
    case COMMAND_POSTCOPY_ADVISE: /* postcopy is possible; whether it starts shows later */
    case COMMAND_SWITCHOVER_START:
        return 0;
    default:
        return err_set(err, ERR_PEER,
                       "command %s: postcopy and COLO are not taken here; migrate by precopy",
                       command_name(c->id));
    }
}

/* --- the stream ------------------------------------------------------------------------------ */

/* An alias or a prefix, "pc", "pc-q35", "pc-q35-11": a stream always has the versioned name. */
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
    struct incoming *m = CONTAINER_OF(ms, struct incoming, stream);
    const struct configuration *c = &ms->config;

    if (m->config.machine && strcmp(c->machine, m->config.machine) != 0)
        return err_set(err, ERR_PEER, "machine type: found '%s', expected '%s' (--machine)",
                       c->machine, m->config.machine);
    if (name_incomplete(c->machine))
        return err_set(err, ERR_PEER, "machine type: found '%s', expected a full versioned name",
                       c->machine);
    if (c->capabilities)
        return err_set(err, ERR_PEER,
                       "configuration/capabilities: %s is on at the source, expected off",
                       c->capabilities & STREAM_CAP_MAPPED_RAM ? "mapped-ram" : "x-ignore-shared");
    if (m->config.uuid && c->has_uuid && !uuid_equal(&c->uuid, m->config.uuid))
        return wrong_uuid("configuration/uuid", &c->uuid, m->config.uuid, err);
    return settle_channels(m, err);
}

static int on_listed(struct ram_load *load, struct error *err)
{
    struct incoming *m = CONTAINER_OF(load, struct incoming, stream.ram);

    if (m->landing->ops->listed(m->landing, &m->stream.config, &m->stream.devices, load->map, err) <
        0)
        return -1;
    if (populate_new(load->map, m->config.populate_threads, &m->populate, err) < 0)
        return -1;
    atomic_store(&m->stats.total_bytes, load->map->total_bytes);
    recv_pool_open(m->pool, load->map, m->populate);
    atomic_store(&m->stats.setup_done_ns, clock_ns());
    atomic_store(&m->stats.status, MIGRATION_ACTIVE);
    return 0;
}

/*
 * Is this place a barrier between the channels? Machine types ≤ 8.0 have one at the end of every
 * section, newer ones where a FLUSH word is; which it is shows in the first section, whatever the
 * machine's name says. At the very end 9.1 and 9.2 leave the word out and send its SYNC packets:
 * there all pages must be in place, word or not.
 */
static bool is_barrier(const struct incoming *m, const struct ram_load *load, bool word)
{
    if (m->per_section)
        return !word;
    return word || (load->section == STREAM_SECTION_END && load->flush_words == 0);
}

static int on_barrier(struct ram_load *load, bool word, struct error *err)
{
    struct incoming *m = CONTAINER_OF(load, struct incoming, stream.ram);
    bool setup = load->section == STREAM_SECTION_START;

    atomic_store(&m->main_normal, load->normal);
    atomic_store(&m->main_zero, load->zero);
    if (setup && !word)
        m->per_section = load->flush_words == 0;
    if (!is_barrier(m, load, word))
        return 0;
    if (!setup && !m->per_section) /* sections are no passes over memory */
        atomic_fetch_add(&m->stats.rounds, 1);
    return recv_pool_flush(m->pool, err);
}

static const struct main_stream_ops stream_ops = {.configured = on_configured,
                                                  .command = on_command};
static const struct ram_load_ops ram_ops = {.listed = on_listed, .barrier = on_barrier};

static int check_uuid(struct incoming *m, struct error *err)
{
    struct configuration *c = &m->stream.config;
    struct uuid uuid;

    /* The channels' UUID is the VM's, also where the configuration does not name it. */
    if (recv_pool_channels(m->pool, &uuid) == 0 || !uuid_is_set(&uuid)) {
        if (m->config.uuid && !c->has_uuid)
            return wrong_uuid("the stream names no UUID", &(struct uuid){0}, m->config.uuid, err);
        return 0;
    }
    if (c->has_uuid && !uuid_equal(&c->uuid, &uuid))
        return wrong_uuid("configuration/uuid", &c->uuid, &uuid, err);
    c->uuid = uuid;
    c->has_uuid = true;
    return 0;
}

static int load(struct incoming *m, struct error *err)
{
    if (stream_in_init(&m->in, m->main, err) < 0)
        return -1;
    stream_in_unread(&m->in, m->main_magic, MAGIC_LEN);
    recv_pool_set_main(m->pool, m->main);
    m->stream.ops = &stream_ops;
    m->stream.in = &m->in;
    m->stream.patience_ms = m->main->local ? m->config.local_patience_ms : 0;
    m->stream.ram = (struct ram_load){.ops = &ram_ops, .in = &m->in, .map = &m->ram};
    if (main_stream_read(&m->stream, err) < 0)
        return err_in(err, "main channel");
    if (check_uuid(m, err) < 0)
        return -1;
    return recv_pool_finish(m->pool, err);
}

static int commit(struct incoming *m, struct error *err)
{
    struct error ignored;

    if (m->landing->ops->commit(m->landing, &m->stream.config, &m->ram, &m->stream.devices, err) <
        0) {
        (void)!reply(m, RETURN_SHUT, verdict_of(err), &ignored);
        return -1;
    }
    /* It is done, whether or not the source is still there to hear of it. */
    (void)!reply(m, RETURN_SHUT, 0, &ignored);
    return 0;
}

static int run(struct incoming *m, struct error *err)
{
    if (await_main(m, err) < 0)
        return -1;
    atomic_store(&m->stats.start_ns, clock_ns());
    atomic_store(&m->stats.status, MIGRATION_SETUP);
    /* Settled, it succeeds or fails by its commit: a cancel, or a connection that fails, comes too
     * late and must not tell the source otherwise. */
    if (load(m, err) < 0 || channel_group_settle(&m->group, SETTLED_ALL, err) < 0)
        return -1;
    atomic_store(&m->stats.status, MIGRATION_DEVICE);
    return commit(m, err);
}
/* Everything that still runs is told to end, and has ended when this returns. */
static void end_threads(struct incoming *m)
{
    cancel_request(&m->group.cancel); /* the acceptor */
    if (m->acceptor_started)
        pthread_join(m->acceptor, NULL);
    m->acceptor_started = false;
    channel_group_close(&m->group);
    for (size_t i = 0; i < m->n_threads; i++)
        pthread_join(m->threads[i], NULL);
    m->n_threads = 0;
}

int incoming_run(struct incoming *m, struct error *err)
{
    int rc;

    errno = pthread_create(&m->acceptor, NULL, acceptor_main, m);
    if (errno)
        return err_sys(err, "thread for connections");
    m->acceptor_started = true;
    rc = run(m, err);
    if (rc < 0) {
        channel_group_fail(&m->group, err);
        (void)!channel_group_check(&m->group, err); /* the first error, not ours that followed */
    }
    atomic_store(&m->stats.end_ns, clock_ns());
    atomic_store(&m->stats.status, rc == 0                      ? MIGRATION_COMPLETED
                                   : err->kind == ERR_CANCELLED ? MIGRATION_CANCELLED
                                                                : MIGRATION_FAILED);
    end_threads(m);
    return rc;
}

int incoming_new(const struct incoming_config *config, struct landing *landing,
                 struct incoming **ret, struct error *err)
{
    struct incoming *m = calloc(1, sizeof(*m));

    if (!m)
        return err_sys(err, "memory for a migration");
    m->config = *config;
    m->landing = landing;
    if (channel_group_init(&m->group, 0, err) < 0) {
        free(m);
        return -1;
    }
    m->group.farewell = farewell;
    m->group.farewell_arg = m;
    pthread_mutex_init(&m->accept_lock, NULL);
    pthread_mutex_init(&m->reply_lock, NULL);
    struct recv_pool_config pool = {
        .group = &m->group,
        .n_expected = config->n_channels > 0 ? (unsigned)config->n_channels : 0,
        .join_timeout_ms = config->connect.connect_timeout_ms,
        .stall_timeout_ms = config->connect.stall_timeout_ms,
        .local_patience_ms = config->local_patience_ms,
    };
    if (recv_pool_new(&pool, &m->pool, err) < 0 ||
        transport_listen(&config->connect.address, &m->listener, err) < 0) {
        incoming_free(m);
        return -1;
    }
    *ret = m;
    return 0;
}

const char *incoming_address(const struct incoming *m)
{
    return m->listener.text;
}

void incoming_cancel(struct incoming *m)
{
    struct error err;

    err_set(&err, ERR_CANCELLED, "cancelled");
    channel_group_fail(&m->group, &err);
}

static void add_channel(struct incoming *m, size_t id, struct migration_snapshot *snap)
{
    uint64_t bytes;
    const struct channel_stats *s = recv_pool_stats(m->pool, id, &bytes);

    if (!s)
        return;
    struct channel_snapshot *c = &snap->channels[snap->n_channels++];
    *c = (struct channel_snapshot){
        .id = (unsigned)id,
        .bytes = bytes,
        .packets = atomic_load_explicit(&s->packets, memory_order_relaxed),
        .normal = atomic_load_explicit(&s->normal, memory_order_relaxed),
        .zero = atomic_load_explicit(&s->zero, memory_order_relaxed),
        .wait_ms = atomic_load_explicit(&s->wait_ns, memory_order_relaxed) / NS_PER_MS,
    };
    snap->normal += c->normal;
    snap->zero += c->zero;
    snap->multifd_bytes += bytes;
}

void incoming_stats(struct incoming *m, struct migration_snapshot *ret)
{
    migration_stats_read(&m->stats, ret);
    ret->normal = atomic_load(&m->main_normal);
    ret->zero = atomic_load(&m->main_zero);
    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX; i++)
        add_channel(m, i, ret);
    pthread_mutex_lock(&m->group.lock);
    if (m->main)
        ret->wire_bytes = atomic_load_explicit(&m->main->bytes_received, memory_order_relaxed);
    pthread_mutex_unlock(&m->group.lock);
    ret->wire_bytes += ret->multifd_bytes;
}

const struct ram_map *incoming_ram(const struct incoming *m)
{
    return &m->ram;
}

void incoming_free(struct incoming *m)
{
    if (!m)
        return;
    end_threads(m);
    recv_pool_free(m->pool);
    connect_close(&m->group, m->main);
    listener_done(&m->listener);
    populate_free(m->populate);
    main_stream_done(&m->stream);
    stream_in_done(&m->in);
    ram_map_done(&m->ram);
    pthread_mutex_destroy(&m->reply_lock);
    pthread_mutex_destroy(&m->accept_lock);
    channel_group_done(&m->group);
    free(m);
}
