#include "migration/source.h"

#include <stdlib.h>

#include "base/clock.h"
#include "migration/source_guest.h"
#include "migration/source_precopy.h"
#include "migration/source_setup.h"
#include "migration/source_state.h"
#include "migration/source_switchover.h"
#include "stream/description.h"

static bool pauses(const struct plan *plan)
{
    return plan->pause;
}

/* The guest is stopped. With a return path, its thread reads main. */
static int await_continue(struct source *m, struct error *err)
{
    return pre_switchover_wait(&m->pre_switchover, &m->link->group,
                               m->plan.verdict ? -1 : m->link->main->fd, err);
}

/* In this order. A phase begins with its status. A cancel ends each of them. */
static const struct phase {
    enum migration_status status;
    int (*run)(struct source *m, struct error *err);
    bool (*is_planned)(const struct plan *plan); /* NULL: every plan has it */
} phases[] = {
    {MIGRATION_SETUP, source_setup, NULL},
    {MIGRATION_ACTIVE, source_precopy, NULL},
    {MIGRATION_PRE_SWITCHOVER, await_continue, pauses},
    {MIGRATION_DEVICE, source_switchover, NULL},
};

static int run(struct source *m, struct error *err)
{
    enum migration_status now = MIGRATION_NONE;

    for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
        const struct phase *p = &phases[i];

        if (p->is_planned && !p->is_planned(&m->plan))
            continue;
        if (source_move(m, now, p->status, err) < 0 || p->run(m, err) < 0)
            return -1;
        now = p->status;
    }
    return 0;
}

/* The cancel came in time: shows it in the status. */
static void begin_cancelling(struct source *m)
{
    /* In the phases' order: the status may move on meanwhile, but never back. */
    for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
        int expected = (int)phases[i].status;

        if (atomic_compare_exchange_strong(&m->stats.status, &expected, MIGRATION_CANCELLING))
            return;
    }
}

/*
 * Lets the guest run on as if nothing had happened; observers hear the final status only after
 * that. It stays stopped where it may run at the destination, because it would then run twice.
 */
static void give_up(struct source *m, struct error *err)
{
    bool refused = m->link && link_fail(m->link, err);

    if (err->kind == ERR_CANCELLED)
        source_arrive_at(m, MIGRATION_CANCELLING);
    if (!m->left || (refused && !m->torn))
        source_release_guest(m);
    else if (m->machine->ops->resume)
        err_in(err, "the guest stays stopped here until 'cont', because it may run at the "
                    "destination: check there");
    else
        err_in(err, "nobody knows whether the destination has everything: check there");
}

int source_run(struct source *m, struct error *err)
{
    atomic_store(&m->stats.start_ns, clock_ns());
    int rc = run(m, err);
    /* Also where the guest has moved away: its user may let it run on here. */
    converge_end(&m->converge);
    source_tell_converge(m);
    if (rc < 0)
        give_up(m, err);
    if (m->dirty)
        m->dirty->ops->stop(m->dirty);
    if (rc < 0)
        atomic_store(&m->stats.end_ns, clock_ns());
    if (m->link)
        link_unlock(m->link); /* an observer of the end may read the file */
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
        return err_set(err, ERR_USAGE, SOURCE_NO_DESCRIPTION);
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
    m->machine = machine;
    m->dirty = ram_set_any_travels(&m->ram) && !plan.still ? machine->dirty : NULL;
    m->live = config->live;
    downtime_estimate_update(&m->estimate, &config->live);
    atomic_store(&m->stats.total_bytes, m->ram.total_bytes);
    if (pre_switchover_init(&m->pre_switchover, err) < 0) {
        ram_set_done(&m->ram);
        free(m);
        return -1;
    }
    pthread_mutex_init(&m->lock, NULL);
    *ret = m;
    return 0;
}

void source_update(struct source *m, const struct runtime_parameters *live)
{
    source_set_parameters(m, live);
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
    pthread_mutex_lock(&m->lock);
    m->cancelled = true;
    bool in_time = !m->link || link_cancel(m->link);
    pthread_mutex_unlock(&m->lock);
    if (in_time)
        begin_cancelling(m);
}

void source_stats(struct source *m, struct migration_snapshot *ret)
{
    source_snapshot(m, ret);
}

void source_free(struct source *m)
{
    if (!m)
        return;
    link_free(m->link);
    ram_round_done(&m->round);
    pre_switchover_done(&m->pre_switchover);
    pthread_mutex_destroy(&m->lock);
    ram_set_done(&m->ram);
    free(m);
}
