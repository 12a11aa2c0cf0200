#include "drive/drive_restore.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/libvirt_save.h"
#include "drive/migrate_path.h"
#include "migration/plan.h"
#include "migration/source.h"
#include "tools/interrupt.h"
#include "tools/open_machine.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/result.h"
#include "tools/session.h"
#include "tools/verbs.h"

struct restoring {
    const struct options *options;
    const char *file; /* "file:PATH[,offset=N]" */
    struct drive_restore *restore;
    struct machine *machine;
    struct source *outgoing; /* by this process; NULL: by the VM */
};

/* Another program has cut the mapped file while it is sent: we cannot continue. */
static void on_sigbus(int number)
{
    static const char text[] = "ramjet restore: the snapshot was cut or failed while it was read\n";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

/* --- is it the VM's? ------------------------------------------------------------------------- */

/* The snapshot's facts against the VM. A snapshot without a UUID is sent with the VM's. */
static int check(struct restoring *r, struct error *err)
{
    struct machine *m = r->machine;
    struct restore_block *blocks = calloc(m->ram.n + 1, sizeof(*blocks));
    struct uuid own;

    if (!blocks)
        return err_sys(err, "memory for a list of blocks");
    for (size_t i = 0; i < m->ram.n; i++)
        blocks[i] = (struct restore_block){.name = m->ram.blocks[i].name,
                                           .bytes = m->ram.blocks[i].used_bytes};
    const struct restore_facts facts = {
        .machine = m->config.machine[0] ? m->config.machine : NULL,
        .blocks = blocks,
        .n_blocks = m->ram.n,
        .uuid = m->config.has_uuid ? &m->config.uuid : NULL,
    };
    int rc = drive_restore_check(r->restore, &facts, &own, err);
    free(blocks);
    if (rc == 0 && !m->config.has_uuid)
        m->config.uuid = own;
    return rc;
}

/* --- by this process ------------------------------------------------------------------------- */

static int run_source(void *arg, struct error *err)
{
    const struct restoring *r = arg;

    if (source_run(r->outgoing, err) < 0)
        return drive_restore_explain(r->restore, err);
    return drive_restore_end(r->restore, err);
}

static void cancel_source(void *arg)
{
    const struct restoring *r = arg;

    source_cancel(r->outgoing);
}

static void read_stats(void *arg, struct migration_snapshot *ret)
{
    const struct restoring *r = arg;

    source_stats(r->outgoing, ret);
}

static const struct ram_map *ram(void *arg)
{
    const struct restoring *r = arg;

    return &r->machine->ram;
}

static const struct session_ops ops = {
    .verb = VERB_RESTORE,
    .run = run_source,
    .cancel = cancel_source,
    .stats = read_stats,
    .ram = ram,
};

static int make_source(struct restoring *r, const char *uri, struct error *err)
{
    const struct options *o = r->options;
    struct source_config config;

    source_config_init(&config);
    source_configure(drive_restore_settings(r->restore), &config);
    if (address_parse(uri, &config.connect.address, err) < 0)
        return -1;
    config.connect.connect_timeout_ms = o->connect_timeout_ms;
    config.connect.stall_timeout_ms = o->stall_timeout_ms;
    config.connect.answer_timeout_ms = o->answer_timeout_ms;
    config.uuid = r->machine->config.uuid;
    return source_new(&config, r->machine, &r->outgoing, err);
}

static void cancel_restore(void *arg)
{
    drive_restore_cancel(arg);
}

/* The VM may look up the name of a host before it listens. */
static int begin(struct restoring *r, const char **ret_uri, struct error *err)
{
    if (interrupt_start(cancel_restore, r->restore, err) < 0)
        return -1;
    int rc = drive_restore_begin(r->restore, ret_uri, err);
    interrupt_stop();
    return rc;
}

static int send_it(struct restoring *r, struct error *err)
{
    const char *uri;

    if (begin(r, &uri, err) < 0 || make_source(r, uri, err) < 0)
        return -1;
    int rc = session_run(&ops, r, r->options, err);
    source_free(r->outgoing);
    return rc;
}

/* --- by the VM ------------------------------------------------------------------------------- */

static int print_loaded(struct restoring *r, struct error *err)
{
    const char *state = drive_restore_state(r->restore);

    if (r->options->json)
        return result_print(
            json_pack("{s:o, s:s?}", "file", result_text(r->file), "run-state", state), NULL, err);
    printf("restore: completed: the VM has read %s and is %s\n", r->file, state ? state : "silent");
    return output_flush(err);
}

static int load(struct restoring *r, const char *uri, struct error *err)
{
    const char *ignored;

    if (interrupt_start(cancel_restore, r->restore, err) < 0)
        return -1;
    int rc = drive_restore_begin(r->restore, &ignored, err);
    if (rc == 0 && (rc = drive_restore_load(r->restore, uri, err)) < 0)
        drive_restore_explain(r->restore, err);
    if (rc == 0)
        rc = drive_restore_end(r->restore, err);
    interrupt_stop();
    return rc;
}

/* The VM does not know our working directory. */
static int absolute_uri(const struct address *from, char ret[static MIGRATE_URI_MAX],
                        struct error *err)
{
    char *whole = realpath(from->file, NULL);
    int len = whole ? snprintf(ret, MIGRATE_URI_MAX, "file:%s,offset=%llu", whole,
                               (unsigned long long)from->offset)
                    : -1;

    if (!whole)
        return err_sys(err, "%s", from->file);
    if (whole && from->offset == 0) /* a QEMU need not know what an offset is */
        len = snprintf(ret, MIGRATE_URI_MAX, "file:%s", whole);
    free(whole);
    return len < MIGRATE_URI_MAX
               ? 0
               : err_set(err, ERR_USAGE, "%.100s…: too long for a VM", from->file);
}

static int load_it(struct restoring *r, struct error *err)
{
    struct address from;
    char uri[MIGRATE_URI_MAX];

    if (address_parse_of(r->file, ADDRESS_SET(ADDRESS_FILE), &from, err) < 0 ||
        libvirt_save_locate(&from, err) < 0 || absolute_uri(&from, uri, err) < 0 ||
        load(r, uri, err) < 0)
        return -1;
    return print_loaded(r, err) < 0 ? output_lost(err, "the guest is in the VM") : 0;
}

/* --- the whole ------------------------------------------------------------------------------- */

static int restore(struct restoring *r, struct error *err)
{
    if (check(r, err) < 0)
        return -1;
    interrupt_block();
    return r->options->by == BY_VM ? load_it(r, err) : send_it(r, err);
}

static void configure(const struct options *o, struct restore_config *ret)
{
    struct drive_config *d = &ret->drive;

    drive_config_init(d);
    d->settings = o->settings;
    d->listen_host = o->listen_host;
    d->uri = o->uri;
    d->connect_timeout_ms = o->connect_timeout_ms;
    d->stall_timeout_ms = o->stall_timeout_ms;
    ret->then = o->restore_then;
    ret->by_vm = o->by == BY_VM;
}

static int check_words(const char *const words[2], const struct options *o, struct error *err)
{
    if (strncmp(words[0], "file:", 5) != 0 || !words[0][5])
        return err_set(err, ERR_USAGE, "snapshot '%.100s': expected file:PATH[,offset=N]",
                       words[0]);
    if (o->by == BY_VM && (o->listen_host || o->uri))
        return err_set(err, ERR_USAGE, "%s: nothing listens with --by vm",
                       o->uri ? "--uri" : "--listen");
    return 0;
}

int verb_restore(int argc, char **argv, struct error *err)
{
    struct options options;
    struct restore_config config;
    struct restoring r = {.options = &options};
    const char *words[2];
    size_t n;

    if (options_parse(VERB_RESTORE, argc, argv, &options, words, ARRAY_LEN(words), &n, err) < 0)
        return -1;
    if (n != 2)
        return err_set(err, ERR_USAGE, "expected file:PATH and MONITOR; see ramjet help restore");
    if (check_words(words, &options, err) < 0)
        return -1;
    r.file = words[0];
    configure(&options, &config);
    signal(SIGBUS, on_sigbus);
    if ((options.checksums ? open_machine : open_machine_unchecked)(r.file, &r.machine, err) < 0)
        return -1;
    int rc = drive_restore_open(words[1], &config, &r.restore, err);
    if (rc == 0)
        rc = restore(&r, err);
    drive_restore_free(r.restore);
    machine_free(r.machine);
    return rc;
}
