#include "drive/drive_follow.h"

#include "base/clock.h"
#include "drive/outcome.h"

static int look(struct drive *d, struct error *err)
{
    json_t *now;

    if (monitor_migration(&d->from, &now, err) < 0)
        return -1;
    json_decref(d->migration);
    d->migration = now;
    return 0;
}

static int cancel(struct drive *d, const char *why, enum remedy remedy, struct error *err)
{
    d->stop.why = why;
    d->stop.at = clock_ns();
    d->stop.remedy = remedy;
    d->stop.deadline = deadline_in_ms(d->config.stall_timeout_ms);
    if (monitor_ask(&d->from, "migrate_cancel", NULL, NULL, err) == 0)
        return 0;
    err_add(err, "; the migration goes on");
    return -1;
}

/* Asks only once: FROM may show pre-switchover a little longer. A refusal is no error if FROM has
 * left that state: another client may have asked first. */
static int go_on(struct drive *d, struct error *err)
{
    if (d->gone_on)
        return 0;
    d->gone_on = true;
    if (monitor_ask(&d->from, "migrate-continue", json_pack("{s:s}", "state", "pre-switchover"),
                    NULL, err) == 0)
        return 0;
    if (!monitor_refused(&d->from))
        return -1;
    json_auto_t *now = NULL;
    struct error ignored;
    bool waits = monitor_migration(&d->from, &now, &ignored) == 0 &&
                 outcome_is_status(now, "pre-switchover");
    return waits ? -1 : 0;
}

/* Cancels if it is time to, or continues if FROM waits for us. */
static int act(struct drive *d, uint64_t give_up, struct error *err)
{
    if (d->stop.why)
        return clock_ns() < d->stop.deadline
                   ? 0
                   : err_set(err, ERR_PEER, "%s does not finish cancelling", d->from.name);
    if (cancel_requested(&d->cancel))
        return cancel(d, "cancelled", REMEDY_NONE, err);
    if (clock_ns() >= give_up)
        return cancel(d, "cancelled: it took too long", REMEDY_TIME_LIMIT, err);
    return outcome_is_status(d->migration, "pre-switchover") ? go_on(d, err) : 0;
}

static void tell(const struct drive *d, json_t *migration)
{
    if (d->config.watch)
        d->config.watch(d->config.arg, migration);
}

int drive_follow(struct drive *d, struct error *err)
{
    uint64_t give_up = deadline_in_ms(d->config.cancel_after_ms);
    int rc;

    while ((rc = look(d, err)) == 0 && outcome_of(d->migration) == OUTCOME_UNDER_WAY) {
        tell(d, d->migration);
        if ((rc = act(d, give_up, err)) < 0)
            break;
        drive_tick(d->stop.why ? NULL : &d->cancel);
    }
    tell(d, NULL);
    return rc;
}
