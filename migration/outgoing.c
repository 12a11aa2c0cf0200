#include "migration/outgoing_inside.h"

#include <stdlib.h>

#include "base/clock.h"
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

/* The end, where nothing comes in between any more. */
static void arrive_at(struct outgoing *m, enum migration_status status)
{
    atomic_store(&m->stats.status, (int)status);
    observer_status(&m->config.observer, status);
}

/* A cancel counts: whoever asks from now on is told so. */
static void begin_cancelling(struct outgoing *m)
{
    static const enum migration_status cancellable[] = {MIGRATION_SETUP, MIGRATION_ACTIVE,
                                                        MIGRATION_PRE_SWITCHOVER, MIGRATION_DEVICE};
    int expected;

    /* In their order: it may move on meanwhile, and never back. */
    for (size_t i = 0; i < ARRAY_LEN(cancellable); i++) {
        expected = (int)cancellable[i];
        if (atomic_compare_exchange_strong(&m->stats.status, &expected, MIGRATION_CANCELLING))
            return;
    }
}

void outgoing_tell_converge(struct outgoing *m)
{
    atomic_store(&m->stats.throttle_percent, m->converge.percent);
    atomic_store(&m->stats.vcpu_dirty_bytes_per_s, m->converge.vcpu_bytes_per_s);
}

static int run(struct outgoing *m, struct error *err)
{
    if (ram_round_init(&m->round, &m->ram, m->plan.zeros_on_main, m->dirty, err) < 0)
        return -1;
    if (outgoing_set_up(m, err) < 0)
        return -1;
    atomic_store(&m->stats.setup_done_ns, clock_ns());
    if (outgoing_move(m, MIGRATION_SETUP, MIGRATION_ACTIVE, err) < 0)
        return -1;
    if (m->plan.still && outgoing_stop_guest(m, err) < 0)
        return -1;
    if (outgoing_rounds(m, err) < 0)
        return -1;
    return outgoing_switch_over(m, err);
}

/*
 * Whether the destination has said on main that it will not have us, whichever thread and channel
 * came to feel it first.
 */
static bool is_refused(struct outgoing *m, struct error *err)
{
    struct error refusal;
    uint8_t byte;
    struct iovec iov = {&byte, 1};
    size_t len;

    if (!m->main ||
        channel_recvv(m->main, &iov, 1, 1, CHANNEL_NOWAIT | CHANNEL_PEEK, &len, &refusal) == 0 ||
        !m->main->refused)
        return false;
    *err = refusal;
    return true;
}

/* The first error is the group's; a destination that said why it failed knows best, and has no
 * guest: true. */
static bool final_error(struct outgoing *m, struct error *err)
{
    channel_group_fail(&m->group, err);
    answers_end(&m->answers);
    if ((channel_group_check(&m->group, err) < 0 && err->kind == ERR_CANCELLED) ||
        is_refused(m, err))
        return false;
    return answers_failed(&m->answers, err);
}

/*
 * The guest runs on as if nothing had been; who watches hears the last of it when that is so. It
 * does not where it may run at the destination: it would be there twice.
 */
static void give_up(struct outgoing *m, struct error *err)
{
    bool refused = final_error(m, err);

    if (err->kind == ERR_CANCELLED)
        arrive_at(m, MIGRATION_CANCELLING);
    if (!m->left || (refused && !m->torn))
        outgoing_release_guest(m);
    else if (m->machine->ops->resume)
        err_in(err, "the guest stays stopped here until 'cont', because it may run at the "
                    "destination: see there");
    else
        err_in(err, "nobody knows whether the destination has it all: see there");
}

int outgoing_run(struct outgoing *m, struct error *err)
{
    atomic_store(&m->stats.start_ns, clock_ns());
    arrive_at(m, MIGRATION_SETUP);
    int rc = run(m, err);
    /* Also of a guest that is somewhere else now: it may be let run on here. */
    converge_end(&m->converge);
    outgoing_tell_converge(m);
    if (rc < 0) {
        file_target_abandon(&m->file);
        give_up(m, err);
    }
    if (m->dirty)
        m->dirty->ops->stop(m->dirty);
    if (rc < 0)
        atomic_store(&m->stats.end_ns, clock_ns());
    file_target_unlock(&m->file); /* who hears of the end may read it */
    arrive_at(m, rc == 0                      ? MIGRATION_COMPLETED
                 : err->kind == ERR_CANCELLED ? MIGRATION_CANCELLED
                                              : MIGRATION_FAILED);
    return rc;
}

int outgoing_new(const struct outgoing_config *config, struct machine *machine,
                 struct outgoing **ret, struct error *err)
{
    struct plan plan;

    if (plan_make(config, machine->config.machine, &plan, err) < 0)
        return -1;
    struct outgoing *m = calloc(1, sizeof(*m));
    if (!m)
        return err_sys(err, "memory for a migration");
    if (converge_init(&m->converge, plan.slowed, machine, err) < 0 ||
        ram_set_freeze(&machine->ram, &config->ram, &m->ram, err) < 0 ||
        ram_set_check_here(&m->ram, err) < 0) {
        ram_set_done(&m->ram);
        free(m);
        return -1;
    }
    m->config = *config;
    m->plan = plan;
    m->file = FILE_TARGET_NONE;
    m->machine = machine;
    m->dirty = ram_set_any_travels(&m->ram) && !plan.still ? machine->dirty : NULL;
    m->live = config->live;
    pace_update(&m->pace, &config->live);
    atomic_store(&m->stats.total_bytes, m->ram.total_bytes);
    if (pause_init(&m->pause, err) < 0 ||
        channel_group_init(&m->group, config->live.max_bytes_per_s, err) < 0) {
        pause_done(&m->pause);
        ram_set_done(&m->ram);
        free(m);
        return -1;
    }
    m->group.farewell = outgoing_farewell;
    m->group.farewell_arg = m;
    *ret = m;
    return 0;
}

void outgoing_update(struct outgoing *m, const struct outgoing_live *live)
{
    pthread_mutex_lock(&m->group.lock);
    m->live = *live;
    outgoing_limit(m);
    pthread_mutex_unlock(&m->group.lock);
}

int outgoing_continue(struct outgoing *m, struct error *err)
{
    enum migration_status now = (enum migration_status)atomic_load(&m->stats.status);

    if (now != MIGRATION_PRE_SWITCHOVER)
        return err_set(err, ERR_USAGE, "the migration's status is %s, expected %s",
                       migration_status_name(now), migration_status_name(MIGRATION_PRE_SWITCHOVER));
    pause_end(&m->pause);
    return 0;
}

void outgoing_cancel(struct outgoing *m)
{
    struct error err;

    err_set(&err, ERR_CANCELLED, "cancelled");
    pthread_mutex_lock(&m->group.lock);
    m->cancel_wanted = true;
    bool leaving = m->leaving;
    pthread_cond_broadcast(&m->group.changed);
    pthread_mutex_unlock(&m->group.lock);
    if (leaving)
        channel_group_close(&m->group);
    else
        channel_group_fail(&m->group, &err);
    if (channel_group_check(&m->group, &err) < 0 && err.kind == ERR_CANCELLED)
        begin_cancelling(m);
    else
        throttle_set_rate(&m->group.throttle, 0); /* too late: then let it be over soon */
}

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

void outgoing_stats(struct outgoing *m, struct migration_snapshot *ret)
{
    migration_stats_read(&m->stats, ret);
    pthread_mutex_lock(&m->group.lock);
    read_channels(m, ret);
    migration_snapshot_rates(&m->stats, &m->meter, ret);
    pthread_mutex_unlock(&m->group.lock);
    migration_snapshot_remaining(&m->stats, ret);
}

void outgoing_free(struct outgoing *m)
{
    if (!m)
        return;
    if (m->sink)
        m->sink->ops->free(m->sink);
    answers_end(&m->answers);
    channel_group_drop(&m->group, m->main);
    file_target_done(&m->file);
    free(m->mapped);
    ram_bitmaps_free(m->written, m->ram.n);
    stream_out_done(&m->out);
    ram_round_done(&m->round);
    channel_group_done(&m->group);
    pause_done(&m->pause);
    ram_set_done(&m->ram);
    free(m);
}
