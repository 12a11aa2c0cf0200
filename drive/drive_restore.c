#include "drive/drive_restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_read.h"
#include "drive/drive_check.h"
#include "drive/drive_end.h"
#include "drive/drive_start.h"
#include "drive/drive_state.h"
#include "drive/outcome.h"

struct drive_restore {
    struct drive d; /* its TO is the VM; it has no FROM */
    enum restore_then then;
    bool by_vm;
};

/* --- open ------------------------------------------------------------------------------------ */

/* Where the VM is to listen, or listens already. */
static int choose_place(struct drive_restore *r, const json_t *heard, struct error *err)
{
    struct drive *d = &r->d;

    if (!r->by_vm)
        return drive_choose_uri(d, heard, err);
    if (json_array_size(heard))
        return err_set(err, ERR_USAGE,
                       "%s listens already: it cannot read a file itself; start it with -incoming "
                       "defer",
                       d->to.name);
    return 0;
}

/* By the VM itself: mapped-ram is what such a file is. No return path leads into a file. */
static void say_by_vm(struct settings *s)
{
    s->capabilities |= IN_SET(CAP_MAPPED_RAM);
    s->explicit_capabilities |= IN_SET(CAP_MAPPED_RAM);
}

static int look(struct drive_restore *r, const char *monitor, struct error *err)
{
    struct drive *d = &r->d;
    const struct drive_config *c = &d->config;
    json_auto_t *heard = NULL;

    if (cancel_init(&d->cancel, err) < 0 ||
        monitor_open(&d->to, "the VM", monitor, c->connect_timeout_ms, c->stall_timeout_ms, err) <
            0 ||
        drive_check_waiting(&d->to, &heard, err) < 0 || choose_place(r, heard, err) < 0 ||
        monitor_learn(&d->to, err) < 0)
        return -1;
    if (d->heard)
        migrate_settings_adopt(&d->config.settings, &d->to);
    if (r->by_vm)
        say_by_vm(&d->config.settings);
    return 0;
}

int drive_restore_open(const char *monitor, const struct restore_config *config,
                       struct drive_restore **ret, struct error *err)
{
    struct drive_restore *r = calloc(1, sizeof(*r));

    if (!r)
        return err_sys(err, "memory for a restore");
    r->d.config = config->drive;
    r->d.cancel.fd = -1;
    r->then = config->then;
    r->by_vm = config->by_vm;
    if (look(r, monitor, err) < 0) {
        drive_restore_free(r);
        return -1;
    }
    *ret = r;
    return 0;
}

/* --- is it the same machine? ----------------------------------------------------------------- */

#define MACHINE_SUFFIX "-machine" /* a machine type as the name of a QOM type */

static int check_machine(struct drive_restore *r, const char *machine, struct error *err)
{
    char type[80];

    if (drive_machine_of(&r->d.to, type, sizeof(type), err) < 0)
        return -1;
    size_t len = strlen(type), suffix = strlen(MACHINE_SUFFIX);
    if (len > suffix && strcmp(type + len - suffix, MACHINE_SUFFIX) == 0)
        type[len - suffix] = 0;
    if (!machine || !type[0] || strcmp(machine, type) == 0)
        return 0;
    return err_set(err, ERR_USAGE, "the snapshot is of a %s, %s is a %s", machine, r->d.to.name,
                   type);
}

/* The block of a memory backend: called as the backend's id, or as its path. */
static const struct restore_block *block_of(const struct restore_facts *facts, const char *id)
{
    for (size_t i = 0; i < facts->n_blocks; i++) {
        const char *name = facts->blocks[i].name, *slash = strrchr(name, '/');

        if (strcmp(slash ? slash + 1 : name, id) == 0)
            return &facts->blocks[i];
    }
    return NULL;
}

static int check_block(struct drive_restore *r, const struct restore_facts *facts,
                       const json_t *backend, struct error *err)
{
    char id[80];

    json_word(backend, "id", "", id, sizeof(id));
    const struct restore_block *b = id[0] ? block_of(facts, id) : NULL;
    uint64_t bytes = json_count(backend, "size");

    if (!b || !bytes || b->bytes == bytes)
        return 0;
    return err_set(err, ERR_USAGE, "the snapshot has %llu MiB in block %s, %s %llu MiB",
                   (unsigned long long)(b->bytes >> 20), b->name, r->d.to.name,
                   (unsigned long long)(bytes >> 20));
}

static int check_memory(struct drive_restore *r, const struct restore_facts *facts,
                        struct error *err)
{
    json_auto_t *backends = NULL;
    json_t *backend;
    size_t i;

    if (drive_ask_perhaps(&r->d.to, "query-memdev", NULL, &backends, err) < 0)
        return -1;
    json_array_foreach(backends, i, backend)
    {
        if (check_block(r, facts, backend, err) < 0)
            return -1;
    }
    return 0;
}

static int check_uuid(struct drive_restore *r, const struct uuid *snapshot, struct uuid *ret,
                      struct error *err)
{
    json_auto_t *answer = NULL;
    struct uuid own = {0};
    char text[UUID_TEXT_LEN];

    if (drive_ask_perhaps(&r->d.to, "query-uuid", NULL, &answer, err) < 0)
        return -1;
    json_word(answer, "UUID", "", text, sizeof(text));
    bool told = uuid_parse(text, &own) == 0;
    if (told && snapshot && uuid_is_set(snapshot) &&
        uuid_expect(snapshot, &own, "the snapshot", err) < 0) {
        err->kind = ERR_USAGE;
        return -1;
    }
    *ret = own;
    return 0;
}

int drive_restore_check(struct drive_restore *r, const struct restore_facts *facts,
                        struct uuid *ret_uuid, struct error *err)
{
    if (check_machine(r, facts->machine, err) < 0 || check_memory(r, facts, err) < 0)
        return -1;
    return check_uuid(r, facts->uuid, ret_uuid, err);
}

/* --- begin ----------------------------------------------------------------------------------- */

const struct settings *drive_restore_settings(const struct drive_restore *r)
{
    return &r->d.config.settings;
}

static int set(struct drive_restore *r, struct error *err)
{
    struct monitor *to = &r->d.to;
    struct migrate_changes c = {0};
    int rc = migrate_changes(&r->d.config.settings, END_TO, NULL, to, &c, err);

    if (rc == 0)
        rc = drive_send_changes(to, &c, err);
    migrate_changes_done(&c);
    return rc < 0 ? -1 : monitor_learn(to, err);
}

/* Told now, so that no guest runs for a moment that is to be paused. */
static int say_then(struct drive_restore *r, struct error *err)
{
    static const char *const commands[] = {
        [RESTORE_AS_SAVED] = NULL, [RESTORE_RUN] = "cont", [RESTORE_PAUSE] = "stop"};
    const char *command = commands[r->then];

    return command ? monitor_ask(&r->d.to, command, NULL, NULL, err) : 0;
}

int drive_restore_begin(struct drive_restore *r, const char **ret_uri, struct error *err)
{
    if (set(r, err) < 0 || say_then(r, err) < 0)
        return -1;
    *ret_uri = r->d.uri;
    return r->by_vm ? 0 : drive_listen(&r->d, err);
}

/* --- the VM reads it ------------------------------------------------------------------------- */

/* Nothing ends a VM that reads a file but its own end. */
static int reads(struct drive_restore *r, json_t **migration, struct error *err)
{
    char state[MONITOR_WORD_MAX];

    if (cancel_requested(&r->d.cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (monitor_migration(&r->d.to, migration, err) < 0 ||
        monitor_run_state(&r->d.to, state, err) < 0)
        return -1;
    if (outcome_of(*migration) == OUTCOME_FAILED)
        return err_set(err, ERR_PEER, "%s could not read %s", r->d.to.name, r->d.uri);
    return strcmp(state, "inmigrate") == 0 && outcome_of(*migration) == OUTCOME_UNDER_WAY;
}

int drive_restore_load(struct drive_restore *r, const char *uri, struct error *err)
{
    int rc = 1;

    snprintf(r->d.uri, sizeof(r->d.uri), "%s", uri);
    if (drive_tell_incoming(&r->d, err) < 0)
        return -1;
    while (rc > 0) {
        json_auto_t *migration = NULL;

        rc = reads(r, &migration, err);
        if (rc > 0)
            drive_tick(&r->d.cancel);
    }
    return rc;
}

/* --- end ------------------------------------------------------------------------------------- */

/* A guest that was paused when it was saved stays so unless somebody lets it run. */
int drive_restore_end(struct drive_restore *r, struct error *err)
{
    char state[MONITOR_WORD_MAX];

    if (drive_arrive(&r->d, err) < 0 || monitor_run_state(&r->d.to, state, err) < 0)
        return -1;
    return r->then == RESTORE_RUN && strcmp(state, "running") != 0
               ? monitor_ask(&r->d.to, "cont", NULL, NULL, err)
               : 0;
}

int drive_restore_explain(struct drive_restore *r, struct error *err)
{
    drive_add_to(&r->d, err);
    return -1;
}

void drive_restore_cancel(struct drive_restore *r)
{
    cancel_request(&r->d.cancel);
}

const char *drive_restore_state(struct drive_restore *r)
{
    struct error ignored;

    return monitor_run_state(&r->d.to, r->d.to_state, &ignored) == 0 ? r->d.to_state : NULL;
}

void drive_restore_free(struct drive_restore *r)
{
    if (!r)
        return;
    drive_done(&r->d);
    free(r);
}
