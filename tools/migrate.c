#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/json_read.h"
#include "base/printable.h"
#include "tools/interrupt.h"
#include "tools/migrate_path.h"
#include "tools/migrate_report.h"
#include "tools/migrate_settings.h"
#include "tools/monitor.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/remedy.h"
#include "tools/verbs.h"

#define TICK_MS   50   /* between two looks at a migration: QEMU sends no events unless asked to */
#define SETTLE_MS 2000 /* for a VM to settle after a migration has ended */

/* A migration from one VM into another, by their monitors. */
struct drive {
    const struct options *options;
    struct settings settings;
    struct monitor from, to;
    char uri[MIGRATE_URI_MAX]; /* where FROM connects */
    bool heard;                /* TO already listened when we came */
    struct cancel cancel;      /* a signal came */
    bool gone_on;              /* FROM was told to leave pre-switchover */
    json_t *migration;         /* FROM's query-migrate as last seen; NULL: none was started */
    json_t *guest;             /* TO's x-query-guest; NULL: it has none */
};

/* --- words for states ------------------------------------------------------------------------ */

enum outcome { UNDER_WAY, COMPLETED, FAILED, CANCELLED };

/* By query-migrate's `status`; any other status, postcopy included, is under way. */
static const struct {
    const char *status;
    enum outcome outcome;
} endings[] = {
    {"completed", COMPLETED},
    {"failed", FAILED},
    {"cancelled", CANCELLED},
};

static enum outcome outcome_of(const json_t *migration)
{
    char status[MONITOR_WORD_MAX];

    json_word(migration, "status", "", status, sizeof(status));
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        if (strcmp(status, endings[i].status) == 0)
            return endings[i].outcome;
    }
    return UNDER_WAY;
}

static bool is_status(const json_t *migration, const char *status)
{
    const char *found = json_string_value(json_object_get(migration, "status"));

    return found && strcmp(found, status) == 0;
}

/* --- waiting --------------------------------------------------------------------------------- */

/* A signal ends the wait. `interrupts` is NULL after one has been acted on. */
static void tick(const struct cancel *interrupts)
{
    static const struct cancel never = {.fd = -1};
    struct error ignored;

    (void)!cancel_poll(interrupts ? interrupts : &never, -1, 0, clock_ns() + TICK_MS * NS_PER_MS,
                       &ignored);
}

/* --- before: are these two what they should be? ---------------------------------------------- */

/* Run states from which a VM cannot migrate, and what to do. */
static const struct {
    const char *state, *why;
} not_a_source[] = {
    {"inmigrate", "waits for a migration itself; perhaps FROM and TO are the wrong way round"},
    {"postmigrate", "has been migrated away; the command cont makes it an ordinary VM again"},
    {"finish-migrate", "is being migrated"},
};

/* Runs a command that not every VM has; *ret is NULL if the VM refuses it. */
static int ask_perhaps(struct monitor *m, const char *command, json_t *arguments, json_t **ret,
                       struct error *err)
{
    *ret = NULL;
    if (monitor_ask(m, command, arguments, ret, err) == 0)
        return 0;
    return monitor_refused(m) ? 0 : -1;
}

static int holds_on(struct monitor *m, bool *ret, struct error *err)
{
    json_auto_t *instances = NULL;
    json_t *instance;
    size_t i;

    *ret = false;
    if (ask_perhaps(m, "query-yank", NULL, &instances, err) < 0)
        return -1;
    json_array_foreach(instances, i, instance)
    {
        const char *type = json_string_value(json_object_get(instance, "type"));

        *ret = *ret || (type && strcmp(type, "migration") == 0);
    }
    return 0;
}

/*
 * QEMU reports a failed migration a moment before it closes its connections, and after a
 * destination's sudden end its thread may hang in multifd for ever. A migration that is started
 * meanwhile is refused, and leaves the VM in status "setup" for good.
 */
static int await_tidy(struct monitor *m, struct error *err)
{
    uint64_t deadline = deadline_in_ms(SETTLE_MS);
    bool held;

    for (; holds_on(m, &held, err) == 0; tick(NULL)) {
        if (!held)
            return 0;
        if (clock_ns() >= deadline)
            return err_set(err, ERR_PEER,
                           "%s has not let go of its last migration, which has ended; it would "
                           "refuse another",
                           m->name);
    }
    return -1;
}

static int check_from(struct monitor *from, struct error *err)
{
    char state[MONITOR_WORD_MAX];
    json_auto_t *migration = NULL;

    if (monitor_run_state(from, state, err) < 0 || monitor_migration(from, &migration, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(not_a_source); i++) {
        if (strcmp(state, not_a_source[i].state) == 0)
            return err_set(err, ERR_PEER, "FROM %s (%s)", not_a_source[i].why, state);
    }
    if (json_object_get(migration, "status") && !is_status(migration, "none") &&
        outcome_of(migration) == UNDER_WAY)
        return err_set(err, ERR_PEER, "FROM is being migrated already");
    return await_tidy(from, err);
}

/* *ret_heard: where TO already listens, or NULL. */
static int check_to(struct monitor *to, json_t **ret_heard, struct error *err)
{
    char state[MONITOR_WORD_MAX];
    json_auto_t *migration = NULL;

    if (monitor_run_state(to, state, err) < 0 || monitor_migration(to, &migration, err) < 0)
        return -1;
    if (strcmp(state, "inmigrate") != 0)
        return err_set(err, ERR_PEER,
                       "TO does not wait for a migration (%s); start it with -incoming defer",
                       state);
    if (outcome_of(migration) != UNDER_WAY)
        return err_set(err, ERR_PEER, "TO has had its migration already; start it anew");
    if (is_status(migration, "active"))
        return err_set(err, ERR_PEER, "TO is taking a migration already");
    *ret_heard = json_incref(json_object_get(migration, "socket-address"));
    return 0;
}

/* In MiB; 0: the VM does not tell. */
static int memory_of(struct monitor *m, uint64_t *ret, struct error *err)
{
    json_auto_t *size = NULL;

    if (ask_perhaps(m, "query-memory-size-summary", NULL, &size, err) < 0)
        return -1;
    *ret = (json_count(size, "base-memory") + json_count(size, "plugged-memory")) >> 20;
    return 0;
}

/* Such as "pc-q35-7.2-machine"; "": the VM does not tell. */
static int machine_of(struct monitor *m, char *ret, size_t size, struct error *err)
{
    json_auto_t *type = NULL;

    if (ask_perhaps(m, "qom-get", json_pack("{s:s, s:s}", "path", "/machine", "property", "type"),
                    &type, err) < 0)
        return -1;
    snprintf(ret, size, "%s", json_is_string(type) ? json_string_value(type) : "");
    printable(ret);
    return 0;
}

/* Finds differences that the destination would only notice after much has been sent. */
static int check_same(struct drive *d, struct error *err)
{
    char from_type[80], to_type[80];
    uint64_t from_mib, to_mib;

    if (memory_of(&d->from, &from_mib, err) < 0 || memory_of(&d->to, &to_mib, err) < 0 ||
        machine_of(&d->from, from_type, sizeof(from_type), err) < 0 ||
        machine_of(&d->to, to_type, sizeof(to_type), err) < 0)
        return -1;
    if (from_mib && to_mib && from_mib != to_mib)
        return err_set(err, ERR_PEER, "FROM has %llu MiB of memory, TO %llu MiB",
                       (unsigned long long)from_mib, (unsigned long long)to_mib);
    if (from_type[0] && to_type[0] && strcmp(from_type, to_type) != 0)
        return err_set(err, ERR_PEER, "FROM is a %s, TO a %s", from_type, to_type);
    return 0;
}

/* FROM and TO must differ: a monitor may serve one client at a time, and our second connection
 * would wait for the end of the first. */
static int check_two(const char *from, const char *to, struct error *err)
{
    struct stat one, two;
    bool files = strncmp(from, "unix:", 5) == 0 && strncmp(to, "unix:", 5) == 0 &&
                 stat(from + 5, &one) == 0 && stat(to + 5, &two) == 0;

    if (strcmp(from, to) == 0 || (files && one.st_dev == two.st_dev && one.st_ino == two.st_ino))
        return err_set(err, ERR_USAGE, "FROM and TO are the same monitor");
    return 0;
}

static bool is_local(const struct drive *d)
{
    return migrate_is_local(&d->from.at) && migrate_is_local(&d->to.at);
}

/* Where FROM will connect. */
static int choose_uri(struct drive *d, const json_t *heard, struct error *err)
{
    const struct options *o = d->options;

    d->heard = json_array_size(heard) > 0;
    if (o->uri) {
        snprintf(d->uri, sizeof(d->uri), "%s", o->uri);
        return 0;
    }
    if (d->heard && o->listen_host)
        return err_set(err, ERR_USAGE, "--listen: TO listens already");
    if (d->heard && migrate_heard_uri(heard, is_local(d), d->uri, err) < 0)
        return err_in(err, "TO");
    if (d->heard)
        return 0;
    if (!o->listen_host && !is_local(d))
        return err_set(err, ERR_USAGE,
                       "a monitor is on another host: say where TO is to listen, --listen HOST");
    return migrate_listen_uri(o->listen_host ? o->listen_host : "127.0.0.1", d->uri, err);
}

static int check(struct drive *d, struct error *err)
{
    json_auto_t *heard = NULL;

    if (check_from(&d->from, err) < 0 || check_to(&d->to, &heard, err) < 0 ||
        check_same(d, err) < 0 || choose_uri(d, heard, err) < 0)
        return -1;
    if (monitor_learn(&d->from, err) < 0 || monitor_learn(&d->to, err) < 0)
        return -1;
    if (d->heard)
        migrate_settings_adopt(&d->settings, &d->to);
    return 0;
}

/* --- settings -------------------------------------------------------------------------------- */

static int send_changes(struct monitor *m, const struct migrate_changes *c, struct error *err)
{
    const struct {
        const char *command;
        json_t *arguments;
    } steps[] = {
        {"migrate-set-capabilities", c->off},
        {"migrate-set-parameters", c->parameters},
        {"migrate-set-capabilities", c->on},
    };

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        if (steps[i].arguments &&
            monitor_ask(m, steps[i].command, json_incref(steps[i].arguments), NULL, err) < 0)
            return -1;
    }
    return 0;
}

static const char *tls_creds_of(const struct drive *d, enum migrate_end end)
{
    const char *own = end == END_FROM ? d->options->tls_creds_from : d->options->tls_creds_to;

    if (own)
        return own;
    return settings_explicit(&d->settings, PARAM_TLS_CREDS)
               ? settings_text(&d->settings, PARAM_TLS_CREDS)
               : NULL;
}

/* Works out the changes for both VMs before it sends any. */
static int set_both(struct drive *d, struct error *err)
{
    struct migrate_changes from = {0}, to = {0};
    int rc =
        migrate_changes(&d->settings, END_FROM, tls_creds_of(d, END_FROM), &d->from, &from, err);

    if (rc == 0)
        rc = migrate_changes(&d->settings, END_TO, tls_creds_of(d, END_TO), &d->to, &to, err);
    if (rc == 0 && (rc = send_changes(&d->to, &to, err)) == 0)
        rc = send_changes(&d->from, &from, err);
    migrate_changes_done(&from);
    migrate_changes_done(&to);
    if (rc < 0 || monitor_learn(&d->from, err) < 0 || monitor_learn(&d->to, err) < 0)
        return -1;
    return migrate_alike(&d->from, &d->to, err);
}

/* --- start ----------------------------------------------------------------------------------- */

/* A destination that fails should stay and tell the reason, if it can. */
static int begin_to_listen(struct drive *d, struct error *err)
{
    json_t *arguments = json_pack("{s:s}", "uri", d->uri);

    if (d->to.can_stay)
        json_object_set_new(arguments, "exit-on-error", json_false());
    return monitor_ask(&d->to, "migrate-incoming", arguments, NULL, err);
}

/* TO has taken the command and still looks up the host's name. */
static bool looks_up(const struct drive *d, const json_t *migration)
{
    const char *port = strrchr(d->uri, ':');
    char status[MONITOR_WORD_MAX];

    json_word(migration, "status", "", status, sizeof(status));
    return port && strcmp(port, ":0") == 0 && strcmp(status, "setup") == 0 &&
           json_array_size(json_object_get(migration, "socket-address")) == 0;
}

/* TO's query-migrate when it listens, when that takes too long, or after a signal. */
static int await_listening(struct drive *d, json_t **ret, struct error *err)
{
    uint64_t deadline = deadline_in_ms(d->options->connect_timeout_ms);

    for (;;) {
        if (monitor_migration(&d->to, ret, err) < 0)
            return -1;
        if (!looks_up(d, *ret) || clock_ns() >= deadline || cancel_requested(&d->cancel))
            return 0;
        json_decref(*ret);
        *ret = NULL;
        tick(&d->cancel);
    }
}

/* Makes TO listen if it does not yet, and sets d->uri to where it really listens. */
static int listen_at(struct drive *d, struct error *err)
{
    json_auto_t *migration = NULL;

    if (d->heard)
        return 0;
    if (begin_to_listen(d, err) < 0 || await_listening(d, &migration, err) < 0)
        return -1;
    if (cancel_requested(&d->cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (looks_up(d, migration))
        return err_set(err, ERR_PEER, "TO: %s: it still looks that name up", d->uri);
    json_t *heard = json_object_get(migration, "socket-address");
    if (json_array_size(heard) && migrate_heard_uri(heard, is_local(d), d->uri, err) < 0)
        return err_in(err, "TO");
    return 0;
}

static int start(struct drive *d, struct error *err)
{
    if (listen_at(d, err) < 0)
        return -1;
    if (monitor_ask(&d->from, "migrate", json_pack("{s:s}", "uri", d->uri), NULL, err) < 0) {
        err_add(err, "; TO listens at %s", d->uri);
        return -1;
    }
    return 0;
}

/* --- under way ------------------------------------------------------------------------------- */

struct view {
    bool shown;        /* there is a line to be written */
    json_t *before;    /* at the last line */
    uint64_t at, next; /* ns */
};

static void show(struct view *v, json_t *now)
{
    char line[MIGRATE_LINE_MAX];
    uint64_t ns = clock_ns();

    if (!v->shown || ns < v->next)
        return;
    migrate_line(v->before, now, (double)(ns - v->at) / (double)NS_PER_S, line);
    progress_show(line);
    json_decref(v->before);
    v->before = json_incref(now);
    v->at = ns;
    v->next = ns + NS_PER_S;
}

static int look(struct drive *d, struct error *err)
{
    json_t *now;

    if (monitor_migration(&d->from, &now, err) < 0)
        return -1;
    json_decref(d->migration);
    d->migration = now;
    return 0;
}

/* Why the migration is being cancelled, if it is. */
struct stop {
    const char *why; /* NULL: not cancelled */
    uint64_t deadline;
};

static int cancel(struct drive *d, struct stop *stop, const char *why, struct error *err)
{
    stop->why = why;
    stop->deadline = deadline_in_ms(d->options->stall_timeout_ms);
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
    bool waits =
        monitor_migration(&d->from, &now, &ignored) == 0 && is_status(now, "pre-switchover");
    return waits ? -1 : 0;
}

/* Cancels if it is time to, or continues if FROM waits for us. */
static int act(struct drive *d, uint64_t give_up, struct stop *stop, struct error *err)
{
    if (stop->why && clock_ns() >= stop->deadline)
        return err_set(err, ERR_PEER, "FROM does not finish cancelling");
    if (!stop->why && cancel_requested(&d->cancel))
        return cancel(d, stop, "cancelled", err);
    if (!stop->why && clock_ns() >= give_up)
        return cancel(d, stop, "cancelled: it took longer than --timeout", err);
    if (!stop->why && is_status(d->migration, "pre-switchover"))
        return go_on(d, err);
    return 0;
}

/* Follows the migration until it is over at FROM. `stop` tells whether it was cancelled. */
static int follow(struct drive *d, struct stop *stop, struct error *err)
{
    uint64_t now = clock_ns(), give_up = deadline_in_ms(d->options->cancel_after_ms);
    struct view view = {
        .shown = progress_wanted(d->options->progress), .at = now, .next = now + NS_PER_S};
    int rc;

    while ((rc = look(d, err)) == 0 && outcome_of(d->migration) == UNDER_WAY) {
        show(&view, d->migration);
        if ((rc = act(d, give_up, stop, err)) < 0)
            break;
        tick(stop->why ? NULL : &d->cancel);
    }
    if (view.before)
        progress_clear();
    json_decref(view.before);
    return rc;
}

/* --- the end --------------------------------------------------------------------------------- */

/* What failed, in a VM's own words. */
static const char *reason(const json_t *migration, char *ret, size_t size)
{
    json_word(migration, "error-desc", "", ret, size);
    return ret;
}

/* FROM is done; waits until TO has loaded the rest. */
static int arrive(struct drive *d, struct error *err)
{
    uint64_t deadline = deadline_in_ms(d->options->stall_timeout_ms);
    char state[MONITOR_WORD_MAX], why[200];

    for (;;) {
        json_auto_t *migration = NULL;

        if (monitor_migration(&d->to, &migration, err) < 0 ||
            monitor_run_state(&d->to, state, err) < 0)
            return -1;
        if (outcome_of(migration) == FAILED)
            return err_set(err, ERR_PEER, "TO: migration failed: %s",
                           reason(migration, why, sizeof(why)));
        if (strcmp(state, "inmigrate") != 0)
            return 0;
        if (clock_ns() >= deadline)
            return err_set(err, ERR_PEER, "TO has not taken over in time");
        tick(NULL);
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
    uint64_t deadline = deadline_in_ms(SETTLE_MS);
    json_auto_t *left = NULL;
    uint64_t moves = moves_of(&d->from, &left);

    while (moves_of(&d->to, &d->guest) <= moves && may_tell(d, deadline))
        tick(NULL);
    uint64_t wrong = json_count(d->guest, "errors");
    if (wrong)
        return err_set(err, ERR_PEER, "the guest has found %llu wrong pages at TO",
                       (unsigned long long)wrong);
    return 0;
}

/* A destination learns of a failure from its connections: its final state comes a bit later. */
static void add_to(struct drive *d, struct error *err)
{
    uint64_t deadline = deadline_in_ms(SETTLE_MS);
    char state[MONITOR_WORD_MAX], why[200];
    struct error ignored;

    for (;; tick(NULL)) {
        json_auto_t *migration = NULL;

        if (monitor_migration(&d->to, &migration, &ignored) < 0 ||
            monitor_run_state(&d->to, state, &ignored) < 0) {
            err_add(err, "; TO has gone");
            return;
        }
        if ((is_status(migration, "active") || is_status(migration, "setup")) &&
            clock_ns() < deadline)
            continue;
        err_add(err, "; TO is %s", state);
        if (reason(migration, why, sizeof(why))[0])
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

/* Adds where the guest is now: after a failure an operator needs to know that first. */
static int with_states(struct drive *d, struct error *err)
{
    add_from(d, err);
    add_to(d, err);
    return -1;
}

static int conclude(struct drive *d, const struct stop *stop, struct error *err)
{
    char why[200];

    switch (outcome_of(d->migration)) {
    case COMPLETED: /* even if a cancel came too late */
        return arrive(d, err) < 0 ? with_states(d, err) : ask_guest(d, err);
    case CANCELLED:
        err_set(err, ERR_CANCELLED, "%s", stop->why ? stop->why : "cancelled by somebody else");
        break;
    default:
        err_set(err, ERR_PEER, "FROM: migration failed: %s",
                reason(d->migration, why, sizeof(why)));
    }
    return with_states(d, err);
}

static int print(struct drive *d, const struct error *failure, struct error *err)
{
    char from[MONITOR_WORD_MAX], to[MONITOR_WORD_MAX];
    char line[ERR_LINE_LEN];
    struct error ignored;

    if (failure)
        error_line(failure, line);
    bool from_known = monitor_run_state(&d->from, from, &ignored) == 0;
    bool to_known = monitor_run_state(&d->to, to, &ignored) == 0;
    struct migrate_result r = {
        .migration = d->migration,
        .guest = d->guest,
        .uri = d->uri,
        .from = d->from.at.text,
        .to = d->to.at.text,
        .from_state = from_known ? from : NULL,
        .to_state = to_known ? to : NULL,
        .failure = failure ? line : NULL,
    };

    return migrate_print(&r, d->options->json, err);
}

/* --- the whole ------------------------------------------------------------------------------- */

static void on_signal(void *arg)
{
    struct drive *d = arg;

    cancel_request(&d->cancel);
}

static int migrate(struct drive *d, struct error *err)
{
    struct stop stop = {0};

    if (start(d, err) < 0)
        return -1;
    if (follow(d, &stop, err) < 0)
        return with_states(d, err);
    return conclude(d, &stop, err);
}

/* From here on a signal is an orderly cancel; before this, there is nothing to undo. */
static int migrate_interruptibly(struct drive *d, struct error *err)
{
    struct error print_err;

    interrupt_block();
    if (cancel_init(&d->cancel, err) < 0 || interrupt_start(on_signal, d, err) < 0)
        return -1;
    int rc = migrate(d, err);
    interrupt_stop();
    if (d->migration && print(d, rc < 0 ? err : NULL, &print_err) < 0 && rc == 0) {
        *err = print_err;
        rc = output_lost(err, "the guest is at TO");
    }
    return rc;
}

static int run(struct drive *d, const char *const *words, struct error *err)
{
    const struct options *o = d->options;

    if (check_two(words[0], words[1], err) < 0 ||
        monitor_open(&d->from, "FROM", words[0], o->connect_timeout_ms, o->stall_timeout_ms, err) <
            0 ||
        monitor_open(&d->to, "TO", words[1], o->connect_timeout_ms, o->stall_timeout_ms, err) < 0)
        return -1;
    if (check(d, err) < 0 || set_both(d, err) < 0)
        return -1;
    return migrate_interruptibly(d, err);
}

int verb_migrate(int argc, char **argv, struct error *err)
{
    struct options options;
    const char *words[2];
    size_t n;

    if (options_parse(VERB_MIGRATE, argc, argv, &options, words, ARRAY_LEN(words), &n, err) < 0)
        return -1;
    if (n != 2)
        return err_set(err, ERR_USAGE, "expected FROM and TO; see ramjet help migrate");
    struct drive d = {.options = &options, .settings = options.settings, .cancel.fd = -1};
    int rc = run(&d, words, err);
    json_decref(d.migration);
    json_decref(d.guest);
    cancel_done(&d.cancel);
    monitor_close(&d.from);
    monitor_close(&d.to);
    return rc;
}
