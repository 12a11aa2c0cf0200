#include "migration/source_state.h"

struct runtime_parameters source_parameters_now(struct source *m)
{
    pthread_mutex_lock(&m->group.lock);
    struct runtime_parameters live = m->live;
    pthread_mutex_unlock(&m->group.lock);
    return live;
}

/* The switch-over uses avail-switchover-bandwidth where that is higher than max-bandwidth. */
void source_limit(struct source *m)
{
    uint64_t limit = m->live.max_bytes_per_s, there = m->live.switchover_bytes_per_s;

    rate_limit_set_rate(&m->group.rate_limit, limit && m->switching ? MAX(limit, there) : limit);
}

/* --- the status ------------------------------------------------------------------------------ */

int source_move(struct source *m, enum migration_status from, enum migration_status to,
                struct error *err)
{
    int expected = (int)from;

    if (!atomic_compare_exchange_strong(&m->stats.status, &expected, (int)to))
        return channel_group_check(&m->group, err);
    observer_status(&m->config.observer, to);
    return 0;
}

void source_arrive_at(struct source *m, enum migration_status status)
{
    atomic_store(&m->stats.status, (int)status);
    observer_status(&m->config.observer, status);
}

void source_tell_converge(struct source *m)
{
    atomic_store(&m->stats.throttle_percent, m->converge.percent);
    atomic_store(&m->stats.vcpu_dirty_bytes_per_s, m->converge.vcpu_bytes_per_s);
}

/* --- statistics ------------------------------------------------------------------------------ */

/* The page counters of main's thread; NULL: other threads send the pages. */
static const struct channel_stats *main_pages(const struct source *m, struct channel_traffic *ret)
{
    *ret = (struct channel_traffic){0};
    if (!m->sink || m->sink->n_channels > 0)
        return NULL;
    return m->sink->ops->stats(m->sink, 0, ret);
}

uint64_t source_main_bytes(const struct source *m)
{
    struct channel_traffic beside;

    main_pages(m, &beside);
    return atomic_load_explicit(&m->main->bytes_sent, memory_order_relaxed) + beside.bytes;
}

/* Reads how many pages main's thread has sent, or reported as zero. */
static void read_main_pages(const struct source *m, struct migration_snapshot *ret)
{
    struct channel_traffic ignored;
    const struct channel_stats *s = main_pages(m, &ignored);

    ret->zero = atomic_load_explicit(&m->absent_pages, memory_order_relaxed);
    if (!s)
        return;
    ret->normal = atomic_load_explicit(&s->normal, memory_order_relaxed);
    ret->zero += atomic_load_explicit(&s->zero, memory_order_relaxed);
}

/* Under the group's lock: reads all counters of the channels. */
static void read_channels(struct source *m, struct migration_snapshot *ret)
{
    uint64_t sent = 0;

    if (m->main) {
        sent = source_main_bytes(m);
        connect_path(&m->config.connect, m->main, &ret->path);
        ret->path.level = m->config.level;
    }
    ret->wire_bytes = sent;
    migration_snapshot_main(&m->stats, sent, ret);
    read_main_pages(m, ret);
    if (!m->sink)
        return;
    for (unsigned id = 0; id < m->sink->n_channels; id++) {
        struct channel_traffic traffic;
        const struct channel_stats *s = m->sink->ops->stats(m->sink, id, &traffic);

        migration_snapshot_add(ret, id, s, &traffic);
    }
    ret->missed_zero_copy = atomic_load_explicit(&m->sink->missed_zero_copy, memory_order_relaxed);
}

void source_snapshot(struct source *m, struct migration_snapshot *ret)
{
    migration_stats_read(&m->stats, ret);
    pthread_mutex_lock(&m->group.lock);
    read_channels(m, ret);
    migration_snapshot_rates(&m->stats, &m->meter, ret);
    pthread_mutex_unlock(&m->group.lock);
    migration_snapshot_remaining(&m->stats, ret);
}
