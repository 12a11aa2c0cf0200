#include "migration/source.h"

#include <stdlib.h>

#include "base/clock.h"
#include "migration/source_precopy.h"
#include "migration/source_setup.h"
#include "migration/source_state.h"
#include "migration/source_switchover.h"
#include "stream/description.h"

/* The cancel came in time: shows it in the status. */
static void begin_cancelling(struct source *m)
{
    static const enum migration_status cancellable[] = {MIGRATION_SETUP, MIGRATION_ACTIVE,
                                                        MIGRATION_PRE_SWITCHOVER, MIGRATION_DEVICE};
    int expected;

    /* In this order: the status may move on meanwhile, but never back. */
    for (size_t i = 0; i < ARRAY_LEN(cancellable); i++) {
        expected = (int)cancellable[i];
        if (atomic_compare_exchange_strong(&m->stats.status, &expected, MIGRATION_CANCELLING))
            return;
    }
}

static int run(struct source *m, struct error *err)
{
    if (ram_round_init(&m->round, &m->ram, m->plan.zeros_on_main, m->dirty, err) < 0)
        return -1;
    if (source_set_up(m, err) < 0)
        return -1;
    atomic_store(&m->stats.setup_done_ns, clock_ns());
    if (source_move(m, MIGRATION_SETUP, MIGRATION_ACTIVE, err) < 0)
        return -1;
    if (m->plan.still && source_stop_guest(m, err) < 0)
        return -1;
    if (source_precopy(m, err) < 0)
        return -1;
    return source_switch_over(m, err);
}

/*
 * Whether the destination has said on main that it refuses us, whichever thread and channel noticed
 * it first.
 */
static bool is_refused(struct source *m, struct error *err)
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

/* Sets *err to the first error of the group or, better, to what the destination says of its own
 * failure. True: the destination has failed, so it has no guest. */
static bool final_error(struct source *m, struct error *err)
{
    channel_group_fail(&m->group, err);
    return_reader_end(&m->return_reader);
    if ((channel_group_check(&m->group, err) < 0 && err->kind == ERR_CANCELLED) ||
        is_refused(m, err))
        return false;
    return return_reader_failed(&m->return_reader, err);
}

/*
 * Lets the guest run on as if nothing had happened; observers hear the final status only after
 * that. It stays stopped where it may run at the destination, because it would then run twice.
 */
static void give_up(struct source *m, struct error *err)
{
    bool refused = final_error(m, err);

    if (err->kind == ERR_CANCELLED)
        source_arrive_at(m, MIGRATION_CANCELLING);
    if (!m->left || (refused && !m->torn))
        source_release_guest(m);
    else if (m->machine->ops->resume)
        err_in(err, "the guest stays stopped here until 'cont', because it may run at the "
                    "destination: see there");
    else
        err_in(err, "nobody knows whether the destination has it all: see there");
}

int source_run(struct source *m, struct error *err)
{
    atomic_store(&m->stats.start_ns, clock_ns());
    source_arrive_at(m, MIGRATION_SETUP);
    int rc = run(m, err);
    /* Also where the guest has moved away: its user may let it run on here. */
    converge_end(&m->converge);
    source_tell_converge(m);
    if (rc < 0) {
        file_target_abandon(&m->file);
        give_up(m, err);
    }
    if (m->dirty)
        m->dirty->ops->stop(m->dirty);
    if (rc < 0)
        atomic_store(&m->stats.end_ns, clock_ns());
    file_target_unlock(&m->file); /* an observer of the end may read the file */
    source_arrive_at(m, rc == 0                      ? MIGRATION_COMPLETED
                        : err->kind == ERR_CANCELLED ? MIGRATION_CANCELLED
                                                     : MIGRATION_FAILED);
    return rc;
}

static int check_machine(const struct machine *m, struct error *err)
{
    size_t json;

    if (!m || !m->ops)
        return err_set(err, ERR_USAGE, "no machine, expected one with its operations");
    if (!m->config.machine[0])
        return err_set(err, ERR_USAGE, "the machine's type has no name: a stream begins with it");
    if (!m->ops->save && !description_ends(&m->devices.tail, &json))
        return err_set(err, ERR_USAGE, OUTGOING_NO_DESCRIPTION);
    return ram_map_check_host(&m->ram, err);
}

static int check_arguments(const struct source_config *config, const struct machine *machine,
                           struct error *err)
{
    if (!config)
        return err_set(err, ERR_USAGE, "no configuration of the source");
    return connect_config_check(&config->connect, err) < 0 ? -1 : check_machine(machine, err);
}

int source_new(const struct source_config *config, struct machine *machine, struct source **ret,
               struct error *err)
{
    struct plan plan;

    if (check_arguments(config, machine, err) < 0)
        return -1;

    if (plan_make(config, machine->config.machine, &plan, err) < 0)
        return -1;
    struct source *m = calloc(1, sizeof(*m));
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
    downtime_estimate_update(&m->estimate, &config->live);
    atomic_store(&m->stats.total_bytes, m->ram.total_bytes);
    if (pre_switchover_init(&m->pre_switchover, err) < 0 ||
        channel_group_init(&m->group, config->live.max_bytes_per_s, err) < 0) {
        pre_switchover_done(&m->pre_switchover);
        ram_set_done(&m->ram);
        free(m);
        return -1;
    }
    m->group.farewell = source_farewell;
    m->group.farewell_arg = m;
    *ret = m;
    return 0;
}

void source_update(struct source *m, const struct runtime_parameters *live)
{
    pthread_mutex_lock(&m->group.lock);
    m->live = *live;
    source_limit(m);
    pthread_mutex_unlock(&m->group.lock);
}

int source_continue(struct source *m, struct error *err)
{
    enum migration_status now = (enum migration_status)atomic_load(&m->stats.status);

    if (now != MIGRATION_PRE_SWITCHOVER)
        return err_set(err, ERR_USAGE, "the migration's status is %s, expected %s",
                       migration_status_name(now), migration_status_name(MIGRATION_PRE_SWITCHOVER));
    pre_switchover_end(&m->pre_switchover);
    return 0;
}

void source_cancel(struct source *m)
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
        rate_limit_set_rate(&m->group.rate_limit, 0); /* too late to cancel: end it soon */
}

void source_stats(struct source *m, struct migration_snapshot *ret)
{
    source_snapshot(m, ret);
}

void source_free(struct source *m)
{
    if (!m)
        return;
    if (m->sink)
        m->sink->ops->free(m->sink);
    return_reader_end(&m->return_reader);
    channel_group_drop(&m->group, m->main);
    file_target_done(&m->file);
    free(m->mapped);
    ram_bitmaps_free(m->written, m->ram.n);
    stream_out_done(&m->out);
    ram_round_done(&m->round);
    channel_group_done(&m->group);
    pre_switchover_done(&m->pre_switchover);
    ram_set_done(&m->ram);
    free(m);
}
