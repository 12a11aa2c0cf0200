#include "drive/drive_start.h"

#include <string.h>

#include "base/clock.h"
#include "base/json_read.h"
#include "drive/drive_alike.h"
#include "drive/drive_tls.h"
#include "drive/migrate_settings.h"

/* --- settings -------------------------------------------------------------------------------- */

int drive_send_changes(struct monitor *m, const struct migrate_changes *c, struct error *err)
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

/* What would not be alike afterwards is found before anything is set. */
static int work_out(struct drive *d, struct migrate_changes *from, struct migrate_changes *to,
                    struct error *err)
{
    const struct settings *s = &d->config.settings;

    if (migrate_changes(s, END_FROM, drive_tls_creds(d, END_FROM), &d->from, from, err) < 0 ||
        migrate_changes(s, END_TO, drive_tls_creds(d, END_TO), &d->to, to, err) < 0)
        return -1;
    migrate_changes_foresee(from, &d->from);
    migrate_changes_foresee(to, &d->to);
    if (migrate_alike(&d->from, &d->to, err) < 0)
        return -1;
    return drive_check_uuid(d, err);
}

/* A setting that a VM refuses is the user's: no migration has begun. */
static int send_to(struct monitor *m, const struct migrate_changes *c, struct error *err)
{
    if (drive_send_changes(m, c, err) == 0)
        return 0;
    if (monitor_refused(m))
        err->kind = ERR_USAGE;
    return -1;
}

int drive_set(struct drive *d, struct error *err)
{
    struct migrate_changes from = {0}, to = {0};
    int rc = work_out(d, &from, &to, err);

    if (rc == 0 && (rc = send_to(&d->to, &to, err)) == 0)
        rc = send_to(&d->from, &from, err);
    migrate_changes_done(&from);
    migrate_changes_done(&to);
    if (rc < 0 || monitor_learn(&d->from, err) < 0 || monitor_learn(&d->to, err) < 0)
        return -1;
    return migrate_alike(&d->from, &d->to, err);
}

/* --- start ----------------------------------------------------------------------------------- */

int drive_tell_incoming(struct drive *d, struct error *err)
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
    uint64_t deadline = deadline_in_ms(d->config.connect_timeout_ms);

    for (;;) {
        if (monitor_migration(&d->to, ret, err) < 0)
            return -1;
        if (!looks_up(d, *ret) || clock_ns() >= deadline || cancel_requested(&d->cancel))
            return 0;
        json_decref(*ret);
        *ret = NULL;
        drive_tick(&d->cancel);
    }
}

int drive_listen(struct drive *d, struct error *err)
{
    json_auto_t *migration = NULL;

    if (d->heard)
        return 0;
    if (drive_tell_incoming(d, err) < 0 || await_listening(d, &migration, err) < 0)
        return -1;
    if (cancel_requested(&d->cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (looks_up(d, migration))
        return err_set(err, ERR_PEER, "%s: %s: it still looks that name up", d->to.name, d->uri);
    json_t *heard = json_object_get(migration, "socket-address");
    if (json_array_size(heard) && migrate_heard_uri(heard, drive_is_local(d), d->uri, err) < 0)
        return err_in(err, "%s", d->to.name);
    return 0;
}

int drive_start(struct drive *d, struct error *err)
{
    if (drive_listen(d, err) < 0)
        return -1;
    if (monitor_ask(&d->from, "migrate", json_pack("{s:s}", "uri", d->uri), NULL, err) < 0) {
        err_add(err, "; TO listens at %s", d->uri);
        return -1;
    }
    return 0;
}
