#include "drive/drive_check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json_read.h"
#include "base/printable.h"
#include "drive/migrate_settings.h"
#include "drive/outcome.h"

/* --- each of the two ------------------------------------------------------------------------- */

/* Run states from which a VM cannot migrate, and what to do. */
static const struct {
    const char *state, *why;
} not_a_source[] = {
    {"inmigrate", "waits for a migration itself; perhaps it is the wrong way round"},
    {"postmigrate", "has been migrated away; the command cont makes it an ordinary VM again"},
    {"finish-migrate", "is being migrated"},
    {"save-vm", "is being saved by savevm; wait until that is done"},
    {"restore-vm", "is being restored by loadvm; wait until that is done"},
    {"colo", "is kept alike with another VM (COLO); end that first"},
};

int drive_ask_perhaps(struct monitor *m, const char *command, json_t *arguments, json_t **ret,
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
    if (drive_ask_perhaps(m, "query-yank", NULL, &instances, err) < 0)
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
int drive_await_tidy(struct monitor *m, struct error *err)
{
    uint64_t deadline = deadline_in_ms(DRIVE_SETTLE_MS);
    bool held;

    for (; holds_on(m, &held, err) == 0; drive_tick(NULL)) {
        if (!held)
            return 0;
        if (clock_ns() >= deadline)
            return err_set(err, ERR_USAGE,
                           "%s has not cleaned up its last migration, which has ended; it would "
                           "refuse another",
                           m->name);
    }
    return -1;
}

/* What keeps the VM from being migrated, in its own words: a device, or a mode. */
static int check_blockers(const struct monitor *from, const json_t *migration, struct error *err)
{
    json_t *reasons = json_object_get(migration, "blocked-reasons");
    char why[300];

    if (json_array_size(reasons) == 0)
        return 0;
    const char *first = json_string_value(json_array_get(reasons, 0));
    snprintf(why, sizeof(why), "%s", first ? first : "it does not say why");
    printable(why);
    err_set(err, ERR_USAGE, "%s cannot be migrated at present: %s", from->name, why);
    if (json_array_size(reasons) > 1)
        return err_add(err, "; and %zu more", json_array_size(reasons) - 1);
    return -1;
}

int drive_check_source(struct monitor *from, struct error *err)
{
    char state[MONITOR_WORD_MAX];
    json_auto_t *migration = NULL;

    if (monitor_run_state(from, state, err) < 0 || monitor_migration(from, &migration, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(not_a_source); i++) {
        if (strcmp(state, not_a_source[i].state) == 0)
            return err_set(err, ERR_USAGE, "%s %s (%s)", from->name, not_a_source[i].why, state);
    }
    if (json_object_get(migration, "status") && !outcome_is_status(migration, "none") &&
        outcome_of(migration) == OUTCOME_UNDER_WAY)
        return err_set(err, ERR_USAGE, "%s is being migrated already", from->name);
    if (check_blockers(from, migration, err) < 0)
        return -1;
    return drive_await_tidy(from, err);
}

int drive_check_waiting(struct monitor *to, json_t **ret_heard, struct error *err)
{
    char state[MONITOR_WORD_MAX];
    json_auto_t *migration = NULL;

    if (monitor_run_state(to, state, err) < 0 || monitor_migration(to, &migration, err) < 0)
        return -1;
    if (strcmp(state, "inmigrate") != 0)
        return err_set(err, ERR_USAGE,
                       "%s does not wait for a migration (%s); start it with -incoming defer",
                       to->name, state);
    if (outcome_of(migration) != OUTCOME_UNDER_WAY)
        return err_set(err, ERR_USAGE, "%s has had its migration already; start it again",
                       to->name);
    if (outcome_is_status(migration, "active"))
        return err_set(err, ERR_USAGE, "%s is taking a migration already", to->name);
    *ret_heard = json_incref(json_object_get(migration, "socket-address"));
    return 0;
}

int drive_machine_of(struct monitor *m, char *ret, size_t size, struct error *err)
{
    json_auto_t *type = NULL;

    if (drive_ask_perhaps(m, "qom-get",
                          json_pack("{s:s, s:s}", "path", "/machine", "property", "type"), &type,
                          err) < 0)
        return -1;
    snprintf(ret, size, "%s", json_is_string(type) ? json_string_value(type) : "");
    printable(ret);
    return 0;
}

int drive_check_two(const char *from, const char *to, struct error *err)
{
    struct stat one, two;
    bool files = strncmp(from, "unix:", 5) == 0 && strncmp(to, "unix:", 5) == 0 &&
                 stat(from + 5, &one) == 0 && stat(to + 5, &two) == 0;

    if (strcmp(from, to) == 0 || (files && one.st_dev == two.st_dev && one.st_ino == two.st_ino))
        return err_set(err, ERR_USAGE, "FROM and TO are the same monitor");
    return 0;
}

int drive_choose_uri(struct drive *d, const json_t *heard, struct error *err)
{
    const struct drive_config *c = &d->config;

    d->heard = json_array_size(heard) > 0;
    if (c->uri) {
        snprintf(d->uri, sizeof(d->uri), "%s", c->uri);
        return 0;
    }
    if (d->heard && c->listen_host)
        return err_set_with(err, ERR_USAGE, REMEDY_NO_LISTEN, "%s listens already", d->to.name);
    if (d->heard && migrate_heard_uri(heard, drive_is_local(d), d->uri, err) < 0)
        return err_in(err, "%s", d->to.name);
    if (d->heard)
        return 0;
    if (!c->listen_host && !drive_is_local(d))
        return err_set_with(err, ERR_USAGE, REMEDY_LISTEN,
                            "a monitor is on another host: say where %s is to listen", d->to.name);
    return migrate_listen_uri(c->listen_host ? c->listen_host : "127.0.0.1", d->uri, err);
}

int drive_check(struct drive *d, struct error *err)
{
    json_auto_t *heard = NULL;

    if (drive_check_source(&d->from, err) < 0 || drive_check_waiting(&d->to, &heard, err) < 0 ||
        drive_choose_uri(d, heard, err) < 0 || monitor_learn(&d->from, err) < 0 ||
        monitor_learn(&d->to, err) < 0)
        return -1;
    if (d->heard)
        migrate_settings_adopt(&d->config.settings, &d->to);
    return 0;
}
