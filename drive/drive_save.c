#include "drive/drive_save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "drive/drive_check.h"
#include "drive/drive_follow.h"
#include "drive/drive_start.h"
#include "drive/drive_state.h"
#include "drive/outcome.h"
#include "drive/save_settings.h"
#include "drive/settings_undo.h"

struct drive_save {
    struct drive d; /* its FROM is the VM; it has no TO */
    enum save_then then;
    bool by_vm;
    bool ran;  /* the guest ran when we came */
    bool quit; /* the VM was told to, and answers no more */
    struct migrate_changes undo;

    const struct save_end *end;
    struct thread thread;
    /* The thread's, until it is joined. */
    int rc;
    struct error err;
    uint64_t ended; /* ns */
    bool kept;      /* it was started, and has the whole snapshot */
};

/* --- before ---------------------------------------------------------------------------------- */

static int look(struct drive_save *s, const char *monitor, struct error *err)
{
    const struct drive_config *c = &s->d.config;
    char state[MONITOR_WORD_MAX];

    if (cancel_init(&s->d.cancel, err) < 0 ||
        monitor_open(&s->d.from, "the VM", monitor, c->connect_timeout_ms, c->stall_timeout_ms,
                     err) < 0 ||
        drive_check_source(&s->d.from, err) < 0 || monitor_learn(&s->d.from, err) < 0 ||
        save_settings(&s->d.config.settings, &s->d.from, s->by_vm, err) < 0 ||
        monitor_run_state(&s->d.from, state, err) < 0)
        return -1;
    s->ran = strcmp(state, "running") == 0;
    return 0;
}

int drive_save_open(const char *monitor, const struct save_config *config, struct drive_save **ret,
                    struct error *err)
{
    struct drive_save *s = calloc(1, sizeof(*s));

    if (!s)
        return err_sys(err, "memory for a save");
    s->d.config = config->drive;
    s->d.cancel.fd = -1;
    s->then = config->then;
    s->by_vm = config->by_vm;
    if (look(s, monitor, err) < 0) {
        drive_save_free(s);
        return -1;
    }
    *ret = s;
    return 0;
}

bool drive_save_is_local(const struct drive_save *s)
{
    return monitor_is_local(&s->d.from);
}

bool drive_save_is_ours(const struct drive_save *s)
{
    return monitor_is_ours(&s->d.from);
}

static int set(struct drive_save *s, struct error *err)
{
    struct migrate_changes c = {0};
    const char *tls = save_tls_creds(&s->d.from);
    int rc = migrate_changes(&s->d.config.settings, END_FROM, tls, &s->d.from, &c, err);

    if (rc == 0) {
        settings_undo_of(&c, &s->d.from, &s->undo);
        rc = drive_send_changes(&s->d.from, &c, err);
    }
    migrate_changes_done(&c);
    return rc;
}

/* --- the end in this process ----------------------------------------------------------------- */

static void *take(void *arg)
{
    struct drive_save *s = arg;

    s->rc = s->end->take(s->end->arg, &s->err);
    s->ended = clock_ns();
    if (s->rc < 0)
        cancel_request(&s->d.cancel); /* the VM need not go on */
    return NULL;
}

/* What the VM says about its end, behind our end's own reason. */
static int because_of_end(struct drive_save *s, struct error *err)
{
    char why[200];

    *err = s->err;
    if (outcome_of(s->d.migration) == OUTCOME_FAILED)
        err_add(err, "; %s: migration failed: %s", s->d.from.name,
                outcome_reason(s->d.migration, why, sizeof(why)));
    return -1;
}

static int because_of_vm(struct drive_save *s, struct error *err)
{
    struct drive *d = &s->d;
    char why[200];

    if (outcome_of(d->migration) == OUTCOME_CANCELLED)
        return err_set_with(err, ERR_CANCELLED, d->stop.remedy, "%s",
                            d->stop.why ? d->stop.why : "cancelled by another user");
    return err_set(err, ERR_PEER, "%s: migration failed: %s", d->from.name,
                   outcome_reason(d->migration, why, sizeof(why)));
}

/* Our end failed by itself, before the VM was told to cancel. */
static bool failed_first(const struct drive_save *s)
{
    return s->rc < 0 && s->err.kind != ERR_CANCELLED && (!s->d.stop.why || s->ended < s->d.stop.at);
}

/* Returns 0 when the migration is completed, and our end has everything. */
static int migrate(struct drive_save *s, struct error *err)
{
    struct drive *d = &s->d;

    if (s->end->take && thread_start(&s->thread, take, s, err, "save") < 0)
        return -1;
    int rc = monitor_ask(&d->from, "migrate", json_pack("{s:s}", "uri", d->uri), NULL, err);
    if (rc == 0)
        rc = drive_follow(d, err);
    bool completed = rc == 0 && outcome_of(d->migration) == OUTCOME_COMPLETED;
    if (!completed && s->end->take)
        s->end->cancel(s->end->arg);
    thread_join(&s->thread);
    s->kept = s->end->take && s->rc == 0;
    if (failed_first(s) || (completed && s->rc < 0))
        return because_of_end(s, err);
    if (rc < 0)
        return -1;
    return completed ? 0 : because_of_vm(s, err);
}

/* --- after ----------------------------------------------------------------------------------- */

/* The VM's run state when its migration is really over: a moment after its status says so. */
static int settle(struct drive_save *s, char ret[static MONITOR_WORD_MAX], struct error *err)
{
    uint64_t deadline = deadline_in_ms(DRIVE_SETTLE_MS);
    bool completed = outcome_of(s->d.migration) == OUTCOME_COMPLETED;

    for (;; drive_tick(NULL)) {
        if (monitor_run_state(&s->d.from, ret, err) < 0)
            return -1;
        if (strcmp(ret, "finish-migrate") != 0 &&
            (!completed || strcmp(ret, "postmigrate") == 0 || clock_ns() >= deadline))
            return 0;
        if (clock_ns() >= deadline)
            return err_set(err, ERR_PEER, "%s stays in state %s", s->d.from.name, ret);
    }
}

static int quit(struct drive_save *s, struct error *err)
{
    int rc = monitor_ask(&s->d.from, "quit", NULL, NULL, err);

    /* The answer may be lost with the VM. */
    s->quit = rc == 0 || !monitor_refused(&s->d.from);
    return s->quit ? 0 : -1;
}

/* The guest as the user wants it, after success. */
static int go_on(struct drive_save *s, struct error *err)
{
    char state[MONITOR_WORD_MAX];

    if (settle(s, state, err) < 0)
        return -1;
    if (s->then == SAVE_QUIT)
        return quit(s, err);
    return s->then == SAVE_RESUME && s->ran ? monitor_ask(&s->d.from, "cont", NULL, NULL, err) : 0;
}

/* The guest as it was, after a failure. Our end is no guest that might run, too. */
static void revive(struct drive_save *s, struct error *err)
{
    char state[MONITOR_WORD_MAX];
    struct error ignored;

    if (settle(s, state, &ignored) == 0 && s->ran && strcmp(state, "postmigrate") == 0)
        (void)!monitor_ask(&s->d.from, "cont", NULL, NULL, &ignored);
    if (monitor_run_state(&s->d.from, state, &ignored) < 0)
        err_add(err, "; %s does not answer any more", s->d.from.name);
    else
        err_add(err, "; the guest is %s", state);
}

/* A VM that no longer answers has nothing that could be given back. */
static int give_back(struct drive_save *s, struct error *err)
{
    char state[MONITOR_WORD_MAX];
    struct error ignored;

    if (s->quit || monitor_run_state(&s->d.from, state, &ignored) < 0)
        return 0;
    if (drive_await_tidy(&s->d.from, err) < 0 || drive_send_changes(&s->d.from, &s->undo, err) < 0)
        return err_in(err, "settings were not given back");
    return 0;
}

int drive_save_run(struct drive_save *s, const char *uri, const struct save_end *end,
                   bool *ret_kept, struct error *err)
{
    struct error undo_err;

    snprintf(s->d.uri, sizeof(s->d.uri), "%s", uri);
    s->end = end;
    *ret_kept = false;
    int rc = set(s, err);
    if (rc == 0)
        rc = migrate(s, err);
    if (rc == 0 && end->keep)
        rc = end->keep(end->arg, err);
    *ret_kept = rc == 0 || s->kept;
    if (rc == 0)
        rc = go_on(s, err);
    else
        revive(s, err);
    if (give_back(s, &undo_err) == 0)
        return rc;
    if (rc == 0)
        *err = undo_err;
    else
        err_add(err, "; %s", undo_err.text);
    return -1;
}

void drive_save_cancel(struct drive_save *s)
{
    cancel_request(&s->d.cancel);
}

bool drive_save_result(struct drive_save *s, struct drive_result *ret)
{
    struct error ignored;

    if (!s->d.migration)
        return false;
    bool answers = !s->quit && monitor_run_state(&s->d.from, s->d.from_state, &ignored) == 0;
    *ret = (struct drive_result){
        .migration = s->d.migration,
        .uri = s->d.uri,
        .from = s->d.from.address,
        .from_state = answers ? s->d.from_state : NULL,
    };
    return true;
}

void drive_save_free(struct drive_save *s)
{
    if (!s)
        return;
    migrate_changes_done(&s->undo);
    drive_done(&s->d);
    free(s);
}
