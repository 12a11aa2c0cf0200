#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/fd.h"
#include "base/thread.h"
#include "base/units.h"
#include "capture/libvirt_save.h"
#include "capture/machine_snapshot.h"
#include "ram/checksum_scan.h"
#include "tools/interrupt.h"
#include "tools/line.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/result.h"
#include "tools/verbs.h"
#include "transport/file.h"

/* A disk is at its full speed only with several reads under way. */
#define THREADS_LEAST 4
#define THREADS_MOST  16

/* Damaged places that are named; of all others only the number is told. */
#define SHOWN_MAX 1000

/* --- what is known of the file --------------------------------------------------------------- */

/* How a check may end, by the word for scripts. */
enum verdict { VERDICT_WHOLE, VERDICT_DAMAGED, VERDICT_STALE, VERDICT_NO_CHECKSUMS };

static const char *const verdict_names[] = {
    [VERDICT_WHOLE] = "whole",
    [VERDICT_DAMAGED] = "damaged",
    [VERDICT_STALE] = "stale",
    [VERDICT_NO_CHECKSUMS] = "no-checksums",
};

struct check {
    const struct options *options;
    struct address from;
    int fd, direct_fd;
    uint64_t bytes; /* of the file */
    struct checksums checksums;
    struct checksum_scan_counts counts;
    struct cancel cancel;
    json_t *damage; /* an array */
    uint64_t ms;
    enum verdict verdict;
};

static void check_done(struct check *c)
{
    checksums_done(&c->checksums);
    cancel_done(&c->cancel);
    fd_close(&c->fd);
    fd_close(&c->direct_fd);
    json_decref(c->damage);
}

/* --- damage ---------------------------------------------------------------------------------- */

static const char *damage_place(const struct check *c, const struct checksum_damage *d,
                                char ret[static CHECKSUM_PART_TEXT])
{
    if (d->block)
        snprintf(ret, CHECKSUM_PART_TEXT, "%s", d->block->name);
    else
        checksums_part_text(&c->checksums, d->part, ret);
    return ret;
}

static void print_damage(const struct check *c, const struct checksum_damage *d)
{
    char place[CHECKSUM_PART_TEXT], want[CHECKSUM_TEXT_LEN], have[CHECKSUM_TEXT_LEN];
    char why[ERR_REASON_LEN];

    damage_place(c, d, place);
    checksum_text(d->expected, want);
    checksum_text(d->found, have);
    if (d->sys) {
        err_reason(d->sys, why);
        line_print(stdout, "%s 0x%" PRIx64 "-0x%" PRIx64 "%s: cannot be read: %s", place, d->first,
                   d->last, d->block ? "" : " of the file", why);
    } else {
        line_print(stdout, "%s 0x%" PRIx64 "-0x%" PRIx64 "%s: expected %s, found %s", place,
                   d->first, d->last, d->block ? "" : " of the file", want, have);
    }
}

static void add_damage(struct check *c, const struct checksum_damage *d)
{
    char place[CHECKSUM_PART_TEXT], text[CHECKSUM_TEXT_LEN], why[ERR_REASON_LEN];
    json_t *o = json_object();

    if (d->block)
        json_object_set_new(o, "block", json_string(d->block->name));
    else
        json_object_set_new(o, "part", json_string(damage_place(c, d, place)));
    json_object_set_new(o, "first", json_integer((json_int_t)d->first));
    json_object_set_new(o, "last", json_integer((json_int_t)d->last));
    checksum_text(d->expected, text);
    json_object_set_new(o, "expected", json_string(text));
    checksum_text(d->found, text);
    if (d->sys) {
        err_reason(d->sys, why);
        json_object_set_new(o, "unreadable", json_string(why));
    } else {
        json_object_set_new(o, "found", json_string(text));
    }
    json_array_append_new(c->damage, o);
}

static void on_damage(void *arg, const struct checksum_damage *d)
{
    struct check *c = arg;

    if (atomic_load(&c->counts.damaged) > SHOWN_MAX)
        return;
    if (c->options->json) {
        add_damage(c, d);
        return;
    }
    if (progress_wanted(c->options->progress))
        progress_clear();
    print_damage(c, d);
}

/* --- under way ------------------------------------------------------------------------------- */

/* A line each second, by a thread of its own. */
struct view {
    struct check *check;
    uint64_t started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over; /* under the lock */
    struct thread thread;
};

static void show(const struct view *v)
{
    struct checksum_scan_counts *counts = &v->check->counts;
    uint64_t all = checksums_n_pieces(&v->check->checksums), done = atomic_load(&counts->pieces);
    uint64_t bytes = atomic_load(&counts->pages) * RAM_PAGE_SIZE;
    uint64_t damaged = atomic_load(&counts->damaged), ms = (clock_ns() - v->started) / NS_PER_MS;
    char size[UNIT_TEXT_LEN], rate[UNIT_TEXT_LEN];
    struct live_line line;

    if (v->check->options->progress == PROGRESS_JSON) {
        progress_show_json(json_pack("{s:I, s:I, s:I, s:I}", "pieces", (json_int_t)done,
                                     "pieces-total", (json_int_t)all, "bytes", (json_int_t)bytes,
                                     "damaged", (json_int_t)damaged));
        return;
    }
    live_line_begin(&line);
    live_line_add(&line, LIVE_STATE, "verify: %" PRIu64 " %%", all ? done * 100 / all : 100);
    live_line_add(&line, LIVE_ESTIMATE, ", %s read", size_text(bytes, size));
    live_line_add(&line, LIVE_RATE, ", %s", rate_over_text(bytes, ms, rate));
    live_line_add(&line, LIVE_LEFT, ", %" PRIu64 " damaged", damaged);
    progress_show(&line);
}

static void *view_main(void *arg)
{
    struct view *v = arg;
    bool over = false;

    for (uint64_t at = v->started + NS_PER_S; !over; at += NS_PER_S) {
        struct timespec until = deadline_timespec(at);

        pthread_mutex_lock(&v->lock);
        while (!v->over && clock_ns() < at)
            pthread_cond_clockwait(&v->changed, &v->lock, CLOCK_MONOTONIC, &until);
        over = v->over;
        pthread_mutex_unlock(&v->lock);
        if (!over)
            show(v);
    }
    return NULL;
}

static void view_end(struct view *v)
{
    if (!v->thread.running)
        return;
    pthread_mutex_lock(&v->lock);
    v->over = true;
    pthread_cond_broadcast(&v->changed);
    pthread_mutex_unlock(&v->lock);
    thread_join(&v->thread);
    progress_clear();
}

static void on_signal(void *arg)
{
    cancel_request(arg);
}

static int scan(struct check *c, struct error *err)
{
    struct view view = {.check = c,
                        .started = clock_ns(),
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .changed = PTHREAD_COND_INITIALIZER};
    const struct checksum_scan_config config = {
        .fd = c->fd,
        .direct_fd = c->direct_fd,
        .checksums = &c->checksums,
        .n_threads = MIN(MAX(cpus_usable(), THREADS_LEAST), THREADS_MOST),
        .cancel = &c->cancel,
        .damaged = on_damage,
        .arg = c,
    };

    interrupt_block();
    if (interrupt_start(on_signal, &c->cancel, err) < 0)
        return -1;
    int rc = progress_wanted(c->options->progress)
                 ? thread_start(&view.thread, view_main, &view, err, "progress")
                 : 0;
    if (rc == 0)
        rc = checksum_scan(&config, &c->counts, err);
    view_end(&view);
    interrupt_stop();
    c->ms = (clock_ns() - view.started) / NS_PER_MS;
    return rc;
}

/* --- the file -------------------------------------------------------------------------------- */

/* Without a table at its end it may be one with padding, one without checksums, or no snapshot. */
static int look_inside(struct check *c, struct error *err)
{
    struct machine *m;
    uint64_t pages_end;

    if (libvirt_save_locate(&c->from, err) < 0)
        return -1;
    pages_end = c->from.offset;
    if (machine_snapshot_unchecked(&c->from, PAGES_COUNTED, &m, err) < 0)
        return -1;
    for (size_t i = 0; i < m->ram.n; i++) {
        if (m->ram.blocks[i].host)
            pages_end = MAX(pages_end, m->ram.blocks[i].fd_offset + m->ram.blocks[i].used_bytes);
    }
    machine_free(m);
    if (checksums_after(c->fd, c->bytes, c->from.offset, pages_end, &c->checksums, err) < 0)
        return err_in(err, "%s", c->from.file);
    return 0;
}

static int open_file(struct check *c, struct error *err)
{
    if (file_source_open(&c->from, &c->fd, &c->bytes, err) < 0)
        return -1;
    if (c->options->direct &&
        file_direct_open(c->from.file, c->fd, O_RDONLY, &c->direct_fd, err) < 0)
        return -1;
    if (checksums_at_end(c->fd, c->bytes, &c->checksums, err) < 0)
        return err_in(err, "%s", c->from.file);
    if (c->checksums.found && (c->from.offset == 0 || c->checksums.start == c->from.offset))
        return 0;
    checksums_done(&c->checksums);
    return look_inside(c, err);
}

/* --- the result ------------------------------------------------------------------------------ */

static int print_text(const struct check *c, struct error *err)
{
    char place[UNIT_TEXT_LEN], rate[UNIT_TEXT_LEN], time[UNIT_TEXT_LEN];
    uint64_t bytes = c->counts.pages * RAM_PAGE_SIZE;

    if (c->counts.damaged > SHOWN_MAX)
        printf("… and %" PRIu64 " more\n", c->counts.damaged - SHOWN_MAX);
    printf("verify: %s: %" PRIu64 " pieces of 2 MiB, %" PRIu64 " of them empty; %s of pages in %s, "
           "%s\n",
           verdict_names[c->verdict], c->counts.pieces, c->counts.empty, size_text(bytes, place),
           time_text(c->ms, time), rate_over_text(bytes, c->ms, rate));
    if (c->checksums.after)
        printf("  %" PRIu64 " bytes after the checksums are not the snapshot's\n",
               c->checksums.after);
    return output_flush(err);
}

static int print_json(struct check *c, const struct error *failure, struct error *err)
{
    uint64_t bytes = c->counts.pages * RAM_PAGE_SIZE;

    return result_print(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "verdict",
                                  verdict_names[c->verdict], "pieces", (json_int_t)c->counts.pieces,
                                  "pieces-empty", (json_int_t)c->counts.empty, "bytes",
                                  (json_int_t)bytes, "damaged", (json_int_t)c->counts.damaged,
                                  "bytes-after", (json_int_t)c->checksums.after, "total-time",
                                  (json_int_t)c->ms, "damage", c->damage),
                        failure, err);
}

/* What the check says of the file. */
static int judge(struct check *c, struct error *err)
{
    char places[COUNT_TEXT_LEN];

    if (atomic_load(&c->counts.stale)) {
        c->verdict = VERDICT_STALE;
        return err_set(err, ERR_PEER,
                       "%s: its checksums are those of another stream: the file was written again "
                       "after they were made",
                       c->from.file);
    }
    if (c->counts.damaged == 0)
        return 0;
    c->verdict = VERDICT_DAMAGED;
    return err_set(err, ERR_PEER, "%s: damaged in %s", c->from.file,
                   count_text(c->counts.damaged, "place", places));
}

static int verify(struct check *c, struct error *err)
{
    c->verdict = VERDICT_DAMAGED; /* as long as nothing else is known: it is no whole snapshot */
    if (open_file(c, err) < 0)
        return -1;
    if (!c->checksums.found) {
        c->verdict = VERDICT_NO_CHECKSUMS;
        return err_set(err, ERR_USAGE, "%s: a snapshot without checksums: nothing was checked",
                       c->from.file);
    }
    if (scan(c, err) < 0)
        return -1;
    c->verdict = VERDICT_WHOLE;
    return judge(c, err);
}

/* Either the file's result is printed, or there is only an error. */
static int report(struct check *c, const struct error *failure, struct error *err)
{
    if (c->options->json)
        return print_json(c, failure, err);
    return c->counts.pieces ? print_text(c, err) : 0;
}

static int parse(const char *word, struct address *ret, struct error *err)
{
    char text[sizeof(ret->text)];
    const char *prefix = strncmp(word, "file:", 5) == 0 ? "" : "file:";

    if (strncmp(word, "raw:", 4) == 0)
        return err_set(err, ERR_USAGE, "%.100s: a folder of raw files has no checksums", word);
    if (snprintf(text, sizeof(text), "%s%s", prefix, word) >= (int)sizeof(text))
        return err_set(err, ERR_USAGE, "file:%.40s…: a path of at most 270 bytes expected", word);
    return address_parse(text, ret, err);
}

int verb_verify(int argc, char **argv, struct error *err)
{
    struct options options;
    struct check c = {.options = &options, .fd = -1, .direct_fd = -1, .cancel = {.fd = -1}};
    struct error print_err;
    const char *args[1];
    size_t n;

    if (options_parse(VERB_VERIFY, argc, argv, &options, args, ARRAY_LEN(args), &n, err) < 0)
        return -1;
    if (n != 1)
        return err_set(err, ERR_USAGE, "expected a snapshot; see ramjet help verify");
    if (parse(args[0], &c.from, err) < 0 || cancel_init(&c.cancel, err) < 0)
        return -1;
    c.damage = json_array();
    int rc = verify(&c, err);
    if (report(&c, rc < 0 ? err : NULL, &print_err) < 0 && rc == 0) {
        *err = print_err;
        rc = output_lost(err, "the file is whole");
    }
    check_done(&c);
    return rc;
}
