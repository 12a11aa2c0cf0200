#include "drive/drive_save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/partial.h"
#include "capture/target.h"
#include "drive/migrate_path.h"
#include "migration/destination.h"
#include "migration/plan.h"
#include "tools/interrupt.h"
#include "tools/meeting.h"
#include "tools/migrate_report.h"
#include "tools/migrate_view.h"
#include "tools/notice.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/verbs.h"

/* The user's words, and what they lead to. */
struct saving {
    const struct options *options;
    const char *file; /* "file:PATH" */
    struct drive_save *save;
    /* The end in this process. */
    struct meeting meeting;
    struct target *target;
    struct destination *incoming;
    /* Instead: the file that the VM writes. */
    struct partial partial;
    int fd;
};

static const char *path_of(const struct saving *s)
{
    return s->file + strlen("file:");
}

/* --- the end in this process ----------------------------------------------------------------- */

static int take(void *arg, struct error *err)
{
    const struct saving *s = arg;

    return destination_run(s->incoming, err);
}

static void cancel_end(void *arg)
{
    const struct saving *s = arg;

    destination_cancel(s->incoming);
}

static int open_target(struct saving *s, struct error *err)
{
    struct target_config config = {
        .path = path_of(s),
        .force = s->options->force,
        .sync = s->options->sync,
        .direct = settings_number(&s->options->settings, PARAM_DIRECT_IO),
        .checksums = s->options->checksums,
    };

    return target_file_new(&config, &s->target, err);
}

/* Looking up a host's name may take long. */
static int listen_interruptibly(struct saving *s, struct error *err)
{
    if (interrupt_start(cancel_end, s, err) < 0)
        return -1;
    int rc = destination_listen(s->incoming, err);
    interrupt_stop();
    return rc;
}

static int open_end(struct saving *s, struct error *err)
{
    const struct options *o = s->options;
    struct destination_config config;

    if (!o->listen_host && !drive_save_is_local(s->save))
        return err_set_with(err, ERR_USAGE, REMEDY_LISTEN,
                            "the monitor is on another host: say where to listen");
    if (open_target(s, err) < 0 ||
        meeting_make(&s->meeting, o->listen_host, drive_save_is_ours(s->save), err) < 0)
        return -1;
    destination_config_init(&config);
    config.connect.address = s->meeting.at;
    config.connect.connect_timeout_ms = o->connect_timeout_ms;
    config.connect.stall_timeout_ms = o->stall_timeout_ms;
    config.connect.answer_timeout_ms = o->answer_timeout_ms;
    if (destination_new(&config, s->target, &s->incoming, err) < 0)
        return -1;
    return listen_interruptibly(s, err);
}

/* --- the VM writes it ------------------------------------------------------------------------ */

/* QEMU does not know our working directory. */
static int absolute_uri(const char *path, char ret[static MIGRATE_URI_MAX], struct error *err)
{
    char *whole = realpath(path, NULL);
    int len = whole ? snprintf(ret, MIGRATE_URI_MAX, "file:%s", whole) : -1;

    if (!whole)
        return err_sys(err, "%s", path);
    free(whole);
    if (len >= MIGRATE_URI_MAX || strstr(ret, ",offset="))
        return err_set(err, ERR_USAGE, "%.100s…: a VM takes no such path", path);
    return 0;
}

static int open_file(struct saving *s, char ret_uri[static MIGRATE_URI_MAX], struct error *err)
{
    if (partial_new(&s->partial, path_of(s), false, s->options->force, &s->fd, err) < 0)
        return -1;
    s->partial.sync = s->options->sync;
    return absolute_uri(s->partial.temp, ret_uri, err);
}

static int keep(void *arg, struct error *err)
{
    struct saving *s = arg;

    if (partial_settle(&s->partial, s->fd, err) < 0)
        return -1;
    return partial_commit(&s->partial, err);
}

/* --- the whole ------------------------------------------------------------------------------- */

static int print(struct saving *s, const struct error *failure, struct error *err)
{
    struct drive_result result;

    if (!drive_save_result(s->save, &result))
        return 0;
    result.file = s->file;
    return migrate_print(&result, failure, s->options->json, err);
}

static void on_signal(void *arg)
{
    drive_save_cancel(arg);
}

static int run(struct saving *s, const char *uri, struct error *err)
{
    struct save_end by_vm = {.keep = keep, .arg = s};
    struct save_end by_us = {.take = take, .cancel = cancel_end, .arg = s};
    struct error print_err;
    bool kept;

    if (interrupt_start(on_signal, s->save, err) < 0)
        return -1;
    int rc = drive_save_run(s->save, uri, s->incoming ? &by_us : &by_vm, &kept, err);
    interrupt_stop();
    if (rc < 0)
        err_add(err, kept ? "; %.200s is whole" : "; %.200s was not written", s->file);
    if (print(s, rc < 0 ? err : NULL, &print_err) < 0 && rc == 0) {
        *err = print_err;
        rc = output_lost(err, "the snapshot is whole");
    }
    return rc;
}

static int save(struct saving *s, struct error *err)
{
    char uri[MIGRATE_URI_MAX];

    if (s->options->by == BY_VM)
        return open_file(s, uri, err) < 0 ? -1 : run(s, uri, err);
    return open_end(s, err) < 0 ? -1 : run(s, destination_address(s->incoming), err);
}

static void clean_up(struct saving *s)
{
    destination_free(s->incoming);
    target_free(s->target);
    meeting_done(&s->meeting);
    partial_done(&s->partial);
    if (s->fd >= 0)
        close(s->fd);
}

static void configure(const struct options *o, struct migrate_view *view, struct save_config *ret)
{
    struct drive_config *d = &ret->drive;

    drive_config_init(d);
    d->settings = o->settings;
    d->connect_timeout_ms = o->connect_timeout_ms;
    d->stall_timeout_ms = o->stall_timeout_ms;
    d->limit_ms = o->limits.after_ms;
    migrate_view_watch(view, o->progress, d);
    ret->then = o->save_then;
    ret->by_vm = o->by == BY_VM;
    if (!ret->by_vm) /* it is about our file, not about the VM's */
        d->settings.explicit_parameters &= ~IN_SET(PARAM_DIRECT_IO);
}

static int check_words(const char *const words[2], const struct options *o, struct error *err)
{
    if (strncmp(words[1], "file:", 5) != 0 || !words[1][5])
        return err_set(err, ERR_USAGE, "target '%.100s': expected file:PATH", words[1]);
    if (o->by == BY_VM && o->listen_host)
        return err_set(err, ERR_USAGE, "--listen: nothing listens with --by vm");
    return 0;
}

int verb_save(int argc, char **argv, struct error *err)
{
    struct options options;
    struct save_config config;
    struct migrate_view view = MIGRATE_VIEW_NEW;
    struct saving s = {.options = &options, .fd = -1};
    const char *words[2];
    size_t n;

    if (options_parse(VERB_SAVE, argc, argv, &options, words, ARRAY_LEN(words), &n, err) < 0)
        return -1;
    if (n != 2)
        return err_set(err, ERR_USAGE, "expected MONITOR and file:PATH; see ramjet help save");
    if (check_words(words, &options, err) < 0)
        return -1;
    s.file = words[1];
    configure(&options, &view, &config);
    detail_settings(&config.drive.settings);
    if (drive_save_open(words[0], &config, &s.save, err) < 0)
        return -1;
    interrupt_tell(migrate_view_tell, &view);
    interrupt_block(); /* from here on there is something that may have to be removed */
    int rc = save(&s, err);
    clean_up(&s);
    drive_save_free(s.save);
    migrate_view_done(&view);
    return rc;
}
