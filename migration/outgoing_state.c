#include "migration/outgoing_state.h"

#include "multifd/send_pool.h"

struct outgoing_live outgoing_live_now(struct outgoing *m)
{
    pthread_mutex_lock(&m->group.lock);
    struct outgoing_live live = m->live;
    pthread_mutex_unlock(&m->group.lock);
    return live;
}

/* For the switch-over there is what the user says is there, even if less is allowed before. */
void outgoing_limit(struct outgoing *m)
{
    uint64_t limit = m->live.max_bytes_per_s, there = m->live.switchover_bytes_per_s;

    throttle_set_rate(&m->group.throttle, limit && m->switching ? MAX(limit, there) : limit);
}

/* --- the status ------------------------------------------------------------------------------ */

int outgoing_move(struct outgoing *m, enum migration_status from, enum migration_status to,
                  struct error *err)
{
    int expected = (int)from;

    if (!atomic_compare_exchange_strong(&m->stats.status, &expected, (int)to))
        return channel_group_check(&m->group, err);
    observer_status(&m->config.observer, to);
    return 0;
}

void outgoing_arrive_at(struct outgoing *m, enum migration_status status)
{
    atomic_store(&m->stats.status, (int)status);
    observer_status(&m->config.observer, status);
}

void outgoing_tell_converge(struct outgoing *m)
{
    atomic_store(&m->stats.throttle_percent, m->converge.percent);
    atomic_store(&m->stats.vcpu_dirty_bytes_per_s, m->converge.vcpu_bytes_per_s);
}

/* --- statistics ------------------------------------------------------------------------------ */

/* Whether main's thread writes pages, on a channel beside main. */
static bool has_own_writer(const struct outgoing *m)
{
    return m->channel_stats && m->plan.n_workers == 0;
}

uint64_t outgoing_main_bytes(const struct outgoing *m)
{
    uint64_t bytes = atomic_load_explicit(&m->main->bytes_sent, memory_order_relaxed);
    struct channel_traffic pages = {0};

    if (has_own_writer(m))
        m->channel_stats(m->sink, 0, &pages);
    return bytes + pages.bytes;
}

/* Pages on main, or beside it. */
static void read_main_pages(const struct outgoing *m, struct migration_snapshot *ret)
{
    const _Atomic uint64_t *normal = &m->counters.normal, *zero = &m->counters.zero;
    struct channel_traffic ignored;

    if (has_own_writer(m)) {
        const struct channel_stats *s = m->channel_stats(m->sink, 0, &ignored);

        normal = &s->normal;
        zero = &s->zero;
    }
    ret->normal = atomic_load_explicit(normal, memory_order_relaxed);
    ret->zero = atomic_load_explicit(zero, memory_order_relaxed);
}

/* Under the group's lock: all that channels tell. */
static void read_channels(struct outgoing *m, struct migration_snapshot *ret)
{
    uint64_t sent = 0;

    if (m->main) {
        sent = outgoing_main_bytes(m);
        connect_path(&m->config.connect, m->main, &ret->path);
        ret->path.level = m->config.level;
    }
    ret->wire_bytes = sent;
    migration_snapshot_main(&m->stats, sent, ret);
    read_main_pages(m, ret);
    for (unsigned id = 0; m->channel_stats && id < m->plan.n_workers; id++) {
        struct channel_traffic traffic;
        const struct channel_stats *s = m->channel_stats(m->sink, id, &traffic);

        migration_snapshot_add(ret, id, s, &traffic);
    }
    if (m->sink && m->plan.pages == PAGES_ON_CHANNELS)
        ret->missed_zero_copy = send_pool_missed_zero_copy(m->sink);
}

void outgoing_snapshot(struct outgoing *m, struct migration_snapshot *ret)
{
    migration_stats_read(&m->stats, ret);
    pthread_mutex_lock(&m->group.lock);
    read_channels(m, ret);
    migration_snapshot_rates(&m->stats, &m->meter, ret);
    pthread_mutex_unlock(&m->group.lock);
    migration_snapshot_remaining(&m->stats, ret);
}
