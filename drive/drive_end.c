#include "drive/drive_end.h"

#include <string.h>

#include "base/clock.h"
#include "base/json_read.h"
#include "drive/outcome.h"

int drive_arrive(struct drive *d, struct error *err)
{
    uint64_t deadline = deadline_in_ms(d->config.stall_timeout_ms);
    char state[MONITOR_WORD_MAX], why[200];

    for (;;) {
        json_auto_t *migration = NULL;

        if (monitor_migration(&d->to, &migration, err) < 0 ||
            monitor_run_state(&d->to, state, err) < 0)
            return -1;
        if (outcome_of(migration) == OUTCOME_FAILED)
            return err_set(err, ERR_PEER, "%s: migration failed: %s", d->to.name,
                           outcome_reason(migration, why, sizeof(why)));
        if (strcmp(state, "inmigrate") != 0)
            return 0;
        if (clock_ns() >= deadline)
            return err_set(err, ERR_PEER, "%s has not taken over in time", d->to.name);
        drive_tick(NULL);
    }
}

/* How often the guest has noticed that it was moved; 0 if it does not tell. */
static uint64_t moves_of(struct monitor *m, json_t **ret)
{
    struct error ignored;

    json_decref(*ret);
    *ret = NULL;
    return monitor_ask(m, "x-query-guest", NULL, ret, &ignored) == 0 ? json_count(*ret, "moves")
                                                                     : 0;
}

/* Only a guest that runs can still report. */
static bool may_tell(struct drive *d, uint64_t deadline)
{
    char state[MONITOR_WORD_MAX];
    struct error ignored;

    return d->guest && clock_ns() < deadline && monitor_run_state(&d->to, state, &ignored) == 0 &&
           strcmp(state, "running") == 0;
}

/*
 * The guest's own report, if there is one. The guest measures its downtime when it runs again, a
 * moment after TO has taken over.
 */
static int ask_guest(struct drive *d, struct error *err)
{
    uint64_t deadline = deadline_in_ms(DRIVE_SETTLE_MS);
    json_auto_t *left = NULL;
    uint64_t moves = moves_of(&d->from, &left);

    while (moves_of(&d->to, &d->guest) <= moves && may_tell(d, deadline))
        drive_tick(NULL);
    uint64_t wrong = json_count(d->guest, "errors");
    if (wrong)
        return err_set(err, ERR_PEER, "the guest has found %llu wrong pages at TO",
                       (unsigned long long)wrong);
    return 0;
}

/* A destination learns of a failure from its connections: its final state comes a bit later. */
void drive_add_to(struct drive *d, struct error *err)
{
    uint64_t deadline = deadline_in_ms(DRIVE_SETTLE_MS);
    char state[MONITOR_WORD_MAX], why[200];
    struct error ignored;

    for (;; drive_tick(NULL)) {
        json_auto_t *migration = NULL;

        if (monitor_migration(&d->to, &migration, &ignored) < 0 ||
            monitor_run_state(&d->to, state, &ignored) < 0) {
            err_add(err, "; %s has gone", d->to.name);
            return;
        }
        if ((outcome_is_status(migration, "active") || outcome_is_status(migration, "setup")) &&
            clock_ns() < deadline)
            continue;
        err_add(err, "; %s is %s", d->to.name, state);
        if (outcome_reason(migration, why, sizeof(why))[0])
            err_add(err, ", its migration failed: %s", why);
        return;
    }
}

static void add_from(struct drive *d, struct error *err)
{
    char state[MONITOR_WORD_MAX];
    struct error ignored;

    if (monitor_run_state(&d->from, state, &ignored) < 0)
        err_add(err, "; FROM does not answer any more");
    else if (strcmp(state, "postmigrate") == 0)
        err_add(err, "; the guest is stopped at FROM, where the command cont resumes it");
    else
        err_add(err, "; the guest is %s at FROM", state);
}

int drive_with_states(struct drive *d, struct error *err)
{
    add_from(d, err);
    drive_add_to(d, err);
    return -1;
}

int drive_conclude(struct drive *d, struct error *err)
{
    char why[200];

    switch (outcome_of(d->migration)) {
    case OUTCOME_COMPLETED: /* even if a cancel came too late */
        return drive_arrive(d, err) < 0 ? drive_with_states(d, err) : ask_guest(d, err);
    case OUTCOME_CANCELLED:
        err_set_with(err, ERR_CANCELLED, d->stop.remedy, "%s",
                     d->stop.why ? d->stop.why : "cancelled by another user");
        break;
    default:
        err_set(err, ERR_PEER, "%s: migration failed: %s", d->from.name,
                outcome_reason(d->migration, why, sizeof(why)));
    }
    return drive_with_states(d, err);
}
