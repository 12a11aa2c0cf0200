#include "migration/source_state.h"

/* --- the link, and what is set while it is there ---------------------------------------------- */

/* Under the lock. The switch-over uses avail-switchover-bandwidth where that is higher than
 * max-bandwidth. */
static void limit(struct source *m)
{
    uint64_t limit = m->live.max_bytes_per_s, there = m->live.switchover_bytes_per_s;

    if (m->link)
        rate_limit_set_rate(&m->link->group.rate_limit,
                            limit && m->switching ? MAX(limit, there) : limit);
}

int source_take_link(struct source *m, struct error *err)
{
    const struct link_config config = {
        .source = &m->config,
        .plan = &m->plan,
        .ram = &m->ram,
        .head_bytes = STREAM_HEAD_MAX + m->machine->devices.early.len,
    };
    struct link *link;

    if (link_new(&config, &link, err) < 0)
        return -1;
    pthread_mutex_lock(&m->lock);
    m->link = link;
    limit(m);
    if (m->cancelled)
        (void)link_cancel(link);
    pthread_mutex_unlock(&m->lock);
    return 0;
}

void source_begin_switching(struct source *m)
{
    pthread_mutex_lock(&m->lock);
    m->switching = true;
    limit(m);
    pthread_mutex_unlock(&m->lock);
}

void source_set_parameters(struct source *m, const struct runtime_parameters *live)
{
    pthread_mutex_lock(&m->lock);
    m->live = *live;
    limit(m);
    pthread_mutex_unlock(&m->lock);
}

struct runtime_parameters source_parameters_now(struct source *m)
{
    pthread_mutex_lock(&m->lock);
    struct runtime_parameters live = m->live;
    pthread_mutex_unlock(&m->lock);
    return live;
}

/* --- the status ------------------------------------------------------------------------------ */

int source_move(struct source *m, enum migration_status from, enum migration_status to,
                struct error *err)
{
    int expected = (int)from;

    if (!atomic_compare_exchange_strong(&m->stats.status, &expected, (int)to))
        return channel_group_check(&m->link->group, err);
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

void source_snapshot(struct source *m, struct migration_snapshot *ret)
{
    migration_stats_read(&m->stats, ret);
    ret->zero = atomic_load_explicit(&m->stats.absent_pages, memory_order_relaxed);
    pthread_mutex_lock(&m->lock);
    if (m->link)
        link_snapshot(m->link, &m->stats, ret);
    migration_snapshot_rates(&m->stats, &m->meter, ret);
    ret->advice = m->advice;
    pthread_mutex_unlock(&m->lock);
    migration_snapshot_remaining(&m->stats, ret);
}
