#include "drive/drive_follow.h"

#include "base/clock.h"
#include "base/json_read.h"
#include "drive/drive_advice.h"
#include "drive/outcome.h"

#define DOWNTIME_LIMIT_MOST 2000000 /* ms */

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

/* Stops the guest however long the rest takes, by the highest limit that QEMU knows. */
static int switch_over(struct drive *d, struct error *err)
{
    if (d->switches)
        return 0;
    d->switches = true;
    return monitor_ask(&d->from, "migrate-set-parameters",
                       json_pack("{s:i}", "downtime-limit", DOWNTIME_LIMIT_MOST), NULL, err);
}

static int limit(struct drive *d, const char *why, enum remedy remedy, struct error *err)
{
    return d->config.limit_switches ? switch_over(d, err) : cancel(d, why, remedy, err);
}

/* The number of the round that runs is dirty-sync-count. */
static bool has_used_rounds(const struct drive *d)
{
    uint64_t most = d->config.limit_rounds;
    uint64_t now = json_count(json_object_get(d->migration, "ram"), "dirty-sync-count");

    return most && (d->config.limit_switches ? now >= most : now > most);
}

/* Gives FROM its limit back, as its guest stays there. A FROM that is gone needs none. */
static void forget_switch(struct drive *d)
{
    uint64_t before = json_count(d->from.parameters, "downtime-limit");
    struct error ignored;

    if (d->switches && outcome_of(d->migration) != OUTCOME_COMPLETED)
        (void)!monitor_ask(&d->from, "migrate-set-parameters",
                           json_pack("{s:I}", "downtime-limit", (json_int_t)before), NULL,
                           &ignored);
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
        return limit(d, "cancelled: it took too long", REMEDY_TIME_LIMIT, err);
    if (has_used_rounds(d))
        return limit(d, "cancelled: the rounds are over", REMEDY_ROUND_LIMIT, err);
    return outcome_is_status(d->migration, "pre-switchover") ? go_on(d, err) : 0;
}

static void tell(const struct drive *d, json_t *migration)
{
    if (d->config.watch)
        d->config.watch(d->config.arg, migration);
}

int drive_follow(struct drive *d, struct error *err)
{
    uint64_t give_up = deadline_in_ms(d->config.limit_ms);
    int rc;

    while ((rc = look(d, err)) == 0 && outcome_of(d->migration) == OUTCOME_UNDER_WAY) {
        tell(d, d->migration);
        drive_advise(d);
        if ((rc = act(d, give_up, err)) < 0)
            break;
        drive_tick(d->stop.why ? NULL : &d->cancel);
    }
    tell(d, NULL);
    forget_switch(d);
    return rc;
}
