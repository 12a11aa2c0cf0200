#include "migration/destination.h"

#include <stdlib.h>

#include "base/clock.h"
#include "migration/destination_load.h"
#include "migration/destination_measure.h"
#include "migration/destination_state.h"
#include "migration/destination_switchover.h"

void destination_arrive_at(struct destination *m, enum migration_status status)
{
    atomic_store(&m->stats.status, (int)status);
    observer_status(&m->config.observer, status);
}

static void farewell(void *arg, const struct error *err)
{
    struct destination *m = arg;

    return_writer_refuse(&m->return_writer, err);
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
    destination_arrive_at(m, MIGRATION_SETUP);
    int rc = destination_load(m, err);
    if (destination_is_measured(m)) {
        destination_measure_refuse(m);
        return 0;
    }
    return rc < 0 || destination_switch_over(m, err) < 0 ? -1 : take_over(m, err);
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
    destination_arrive_at(m, rc == 0                      ? MIGRATION_COMPLETED
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
        .checksums = m->config.checksums,
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

/* How many channels must connect. None does to a file, where multifd says how it is read. */
static unsigned connections_of(const struct destination_config *config)
{
    bool file = config->connect.address.scheme == ADDRESS_FILE;

    return !file && config->n_channels > 0 ? (unsigned)config->n_channels : 0;
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
        .n_expected = connections_of(config),
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
