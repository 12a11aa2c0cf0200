#include "drive/drive_end.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_read.h"
#include "drive/outcome.h"

#define REASON_LEN 240 /* of one end: both, and where the guest is, fit into an error */

/* Up to 10.x QEMU's text is only "load of migration failed: ERRNO"; from 11 on it goes on. */
static void point_to_log(const struct monitor *to, char why[static REASON_LEN])
{
    static const char general[] = "load of migration failed: ";
    size_t len = strlen(why), n = strlen(general);

    if (!to->is_ramjet && strncmp(why, general, n) == 0 && !strchr(why + n, ':'))
        snprintf(why + len, REASON_LEN - len, " (what it could not load is in its log)");
}

int drive_arrive(struct drive *d, struct error *err)
{
    uint64_t deadline = deadline_in_ms(d->config.stall_timeout_ms);
    char state[MONITOR_WORD_MAX], why[REASON_LEN];

    for (;;) {
        json_auto_t *migration = NULL;

        if (monitor_migration(&d->to, &migration, err) < 0 ||
            monitor_run_state(&d->to, state, err) < 0)
            return -1;
        if (outcome_of(migration) == OUTCOME_FAILED) {
            outcome_reason(migration, why, sizeof(why));
            point_to_log(&d->to, why);
            return err_set(err, ERR_PEER, "%s: migration failed: %s", d->to.name, why);
        }
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

/* What TO says after a failure. */
struct target_end {
    bool gone; /* its monitor does not answer any more */
    char state[MONITOR_WORD_MAX];
    char why[REASON_LEN]; /* "": its migration has not failed, or it does not say why */
};

/* A destination learns of a failure from its connections: its final state comes a bit later. */
static void learn_end_of_to(struct drive *d, struct target_end *ret)
{
    uint64_t deadline = deadline_in_ms(DRIVE_SETTLE_MS);
    struct error ignored;

    *ret = (struct target_end){0};
    for (;; drive_tick(NULL)) {
        json_auto_t *migration = NULL;

        if (monitor_migration(&d->to, &migration, &ignored) < 0 ||
            monitor_run_state(&d->to, ret->state, &ignored) < 0) {
            ret->gone = true;
            return;
        }
        if ((outcome_is_status(migration, "active") || outcome_is_status(migration, "setup")) &&
            clock_ns() < deadline)
            continue;
        outcome_reason(migration, ret->why, sizeof(ret->why));
        point_to_log(&d->to, ret->why);
        return;
    }
}

/* TO's reason is added where the error does not have it yet. */
static void add_to(const struct drive *d, const struct target_end *to, struct error *err)
{
    if (!to->gone) {
        err_add(err, "; %s is %s", d->to.name, to->state);
        if (to->why[0] && !strstr(err->text, to->why))
            err_add(err, ", its migration failed: %s", to->why);
        return;
    }
    err_add(err, "; %s has gone", d->to.name);
    if (!d->to.can_stay || d->heard)
        err_add(err, ": this QEMU (%s) ends when its migration fails, and says why in its log",
                d->to.version);
}

void drive_add_to(struct drive *d, struct error *err)
{
    struct target_end to;

    learn_end_of_to(d, &to);
    add_to(d, &to, err);
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

static int add_states(struct drive *d, const struct target_end *to, struct error *err)
{
    add_from(d, err);
    add_to(d, to, err);
    return -1;
}

int drive_with_states(struct drive *d, struct error *err)
{
    struct target_end to;

    learn_end_of_to(d, &to);
    return add_states(d, &to, err);
}

/* Both ends have a reason; that of the end that failed first comes first. */
static int failed(struct drive *d, struct error *err)
{
    struct target_end to;
    char from[REASON_LEN];

    learn_end_of_to(d, &to);
    outcome_reason(d->migration, from, sizeof(from));
    if (to.why[0] && outcome_is_echo(from) && !outcome_is_echo(to.why)) {
        err_set(err, ERR_PEER, "TO: migration failed: %s", to.why);
        if (from[0])
            err_add(err, "; FROM: %s", from);
    } else {
        err_set(err, ERR_PEER, "FROM: migration failed: %s", from[0] ? from : "no reason given");
        if (to.why[0])
            err_add(err, "; TO: %s", to.why);
    }
    return add_states(d, &to, err);
}

int drive_conclude(struct drive *d, struct error *err)
{
    switch (outcome_of(d->migration)) {
    case OUTCOME_COMPLETED: /* even if a cancel came too late */
        return drive_arrive(d, err) < 0 ? drive_with_states(d, err) : ask_guest(d, err);
    case OUTCOME_CANCELLED:
        err_set_with(err, ERR_CANCELLED, d->stop.remedy, "%s",
                     d->stop.why ? d->stop.why : "cancelled by another user");
        return drive_with_states(d, err);
    default:
        return failed(d, err);
    }
}
