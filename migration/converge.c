#include "migration/converge.h"

#include "base/clock.h"

/* Rounds are counted together until they have taken this long: what a guest does in a moment says
 * little about what it does in general. */
#define CHECK_NS (100 * NS_PER_MS)

/* Checks in a row that must find too much written: a single one may be a burst. */
#define ENOUGH_CHECKS 2

static const struct {
    const char *name, *why;
} kinds[] = {
    [CONVERGE_NOT] = {"", ""},
    [CONVERGE_THROTTLE] = {"auto-converge", "nothing can take time from this guest"},
    [CONVERGE_LIMIT] = {"dirty-limit", "nothing can limit what this guest's vCPUs write"},
};

int converge_init(struct converge *c, enum converge_by by, struct machine *machine,
                  struct error *err)
{
    const bool can[] = {
        [CONVERGE_NOT] = true,
        [CONVERGE_THROTTLE] = machine->ops->throttle,
        [CONVERGE_LIMIT] = machine->ops->limit_dirty,
    };

    if (!can[by])
        return err_set(err, ERR_USAGE, "%s: %s; leave it off", kinds[by].name, kinds[by].why);
    *c = (struct converge){.by = by, .machine = machine};
    return 0;
}

/* --- putting in force ------------------------------------------------------------------------ */

static void throttle(struct converge *c, unsigned percent)
{
    if (percent != c->percent)
        c->machine->ops->throttle(c->machine, percent);
    c->percent = percent;
}

static void limit(struct converge *c, uint64_t bytes_per_s)
{
    if (bytes_per_s != c->vcpu_bytes_per_s)
        c->machine->ops->limit_dirty(c->machine, bytes_per_s);
    c->vcpu_bytes_per_s = bytes_per_s;
}

void converge_end(struct converge *c)
{
    if (c->by == CONVERGE_THROTTLE)
        throttle(c, 0);
    if (c->by == CONVERGE_LIMIT)
        limit(c, 0);
}

/* --- deciding -------------------------------------------------------------------------------- */

static double allowed_bytes(const struct converge *c, const struct runtime_parameters *live)
{
    return (double)c->sent_bytes * live->throttle_trigger_percent / 100;
}

/*
 * With the time that is left to it, the guest writes too much by a factor that is known now. If its
 * writes go with its time, no more than this has to be taken. At least one percent, or this would
 * never end.
 */
static unsigned needed_percent(const struct converge *c, const struct runtime_parameters *live)
{
    double left = 100 - c->percent;
    double needed = left - left * allowed_bytes(c, live) / (double)c->written_bytes;

    return needed > 1 ? (unsigned)needed : 1;
}

static unsigned next_percent(const struct converge *c, const struct runtime_parameters *live)
{
    unsigned step = live->throttle_increment_percent;

    if (c->percent == 0)
        return MIN(live->throttle_initial_percent, live->throttle_max_percent);
    if (live->throttle_tailslow)
        step = MIN(step, needed_percent(c, live));
    return MIN(c->percent + step, live->throttle_max_percent);
}

static void slow_down(struct converge *c, const struct runtime_parameters *live)
{
    if (c->by == CONVERGE_THROTTLE)
        throttle(c, next_percent(c, live));
    else
        limit(c, live->vcpu_dirty_bytes_per_s);
}

/* Adapts what is in force to the settings, which may have changed. */
static void follow(struct converge *c, const struct runtime_parameters *live)
{
    if (c->percent)
        throttle(c, MIN(c->percent, live->throttle_max_percent));
    if (c->vcpu_bytes_per_s)
        limit(c, live->vcpu_dirty_bytes_per_s);
}

void converge_round(struct converge *c, const struct runtime_parameters *live,
                    uint64_t written_bytes, uint64_t sent_bytes, uint64_t ns)
{
    if (c->by == CONVERGE_NOT)
        return;
    follow(c, live);
    c->written_bytes += written_bytes;
    c->sent_bytes += sent_bytes;
    c->ns += ns;
    if (c->ns < CHECK_NS)
        return;
    c->n_over = (double)c->written_bytes > allowed_bytes(c, live) ? c->n_over + 1 : 0;
    if (c->n_over == ENOUGH_CHECKS) {
        slow_down(c, live);
        c->n_over = 0;
    }
    c->written_bytes = c->sent_bytes = c->ns = 0;
}
