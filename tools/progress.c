#include "tools/progress.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "base/units.h"
#include "ram/block.h"
#include "tools/json_print.h"
#include "tools/line.h"
#include "tools/notice.h"
#include "tools/report.h"

#define RATES_SHOWN 4 /* channels whose own rate fits on the line */

/* One per process: there is one terminal. */
static struct {
    bool stop;
    enum progress_mode mode;
    progress_read *read;
    void *arg;
    struct thread thread;
    pthread_mutex_t lock;
    pthread_cond_t stop_cond;
    struct migration_snapshot before, now; /* the thread's alone */
} progress = {.lock = PTHREAD_MUTEX_INITIALIZER, .stop_cond = PTHREAD_COND_INITIALIZER};

/* --- a line ---------------------------------------------------------------------------------- */

bool progress_wanted(enum progress_mode mode)
{
    return mode == PROGRESS_ALWAYS || mode == PROGRESS_JSON ||
           (mode == PROGRESS_AUTO && !notice_is_quiet() && isatty(STDERR_FILENO));
}

/* Asked each time: the window may have another width by now. The last column stays empty, for in
 * it some terminals wrap. */
static size_t columns(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 2)
        return 0;
    return size.ws_col - 1U;
}

void progress_show(const struct live_line *line)
{
    char text[LIVE_LINE_LEN];

    live_line_text(line, columns(), text);
    /* Carriage return and "erase to the end of the line", on a terminal only. */
    fprintf(stderr, isatty(STDERR_FILENO) ? "\r%s\033[K" : "%s\n", text);
    fflush(stderr);
}

void progress_show_json(json_t *members)
{
    json_auto_t *root = json_pack("{s:s, s:s}", "event", "progress", "verb", notice_verb());

    json_object_update_missing(root, members);
    json_print_line(stderr, root);
    json_decref(members);
}

void progress_tell_line(const struct live_line *line)
{
    char text[LIVE_LINE_LEN];

    live_line_text(line, 0, text);
    progress_clear();
    line_print(stderr, "ramjet %s: %s", notice_verb(), text);
}

void progress_clear(void)
{
    line_clear();
}

/* --- of a migration in this process ---------------------------------------------------------- */

static void add_rates(struct live_line *l, const struct migration_snapshot *before,
                      const struct migration_snapshot *now, uint64_t ms)
{
    size_t n = MIN(now->n_channels, (size_t)RATES_SHOWN);
    char rate[UNIT_TEXT_LEN];

    for (size_t i = 0; i < n && i < before->n_channels; i++) {
        uint64_t bytes = now->channels[i].bytes - before->channels[i].bytes;

        live_line_add(l, LIVE_CHANNELS, "%s%s", i ? " + " : " [", rate_over_text(bytes, ms, rate));
        if (i + 1 == n)
            live_line_add(l, LIVE_CHANNELS, n < now->n_channels ? " + …]" : "]");
    }
}

static void add_rest(struct live_line *l, const struct migration_snapshot *before,
                     const struct migration_snapshot *now, uint64_t ms)
{
    uint64_t pages = now->normal + now->zero - before->normal - before->zero;
    uint64_t left = now->remaining_bytes / RAM_PAGE_SIZE;
    char text[UNIT_TEXT_LEN];

    if (!now->remaining_bytes)
        return;
    live_line_add(l, LIVE_LEFT, ", %s left", size_text(now->remaining_bytes, text));
    if (now->rounds > 1) /* in the first round nobody has counted what is written */
        live_line_add(l, LIVE_GUEST, ", dirty %s",
                      rate_text(now->dirty_pages_per_s * RAM_PAGE_SIZE, text));
    if (now->throttle_percent)
        live_line_add(l, LIVE_GUEST, ", guest slowed by %u %%", now->throttle_percent);
    if (pages)
        live_line_add(l, LIVE_ESTIMATE, ", round ends in %s",
                      time_text((uint64_t)((double)left * (double)ms / (double)pages), text));
}

static void describe(struct live_line *l, const struct migration_snapshot *before,
                     const struct migration_snapshot *now, uint64_t ms)
{
    uint64_t done = (now->normal + now->zero) * RAM_PAGE_SIZE;
    double percent = now->total_bytes ? 100.0 * (double)done / (double)now->total_bytes : 0;
    char rate[UNIT_TEXT_LEN];

    live_line_begin(l);
    live_line_add(l, LIVE_STATE, "%s round %llu", migration_status_name(now->status),
                  (unsigned long long)now->rounds);
    live_line_add(l, LIVE_LEFT, ", %.0f %%", MIN(percent, 100.0));
    live_line_add(l, LIVE_RATE, ", %s",
                  rate_over_text(now->wire_bytes - before->wire_bytes, ms, rate));
    add_rest(l, before, now, ms);
    add_rates(l, before, now, ms);
}

static void show(uint64_t ms)
{
    struct live_line line;

    progress.before = progress.now;
    progress.read(progress.arg, &progress.now);
    if (progress.now.status == MIGRATION_NONE)
        return;
    if (progress.mode == PROGRESS_JSON) {
        progress_show_json(report_progress_json(&progress.now));
        return;
    }
    describe(&line, &progress.before, &progress.now, ms);
    progress_show(&line);
}

void progress_tell(progress_read *read, void *arg)
{
    static const struct migration_snapshot nothing;
    static struct migration_snapshot
        now; /* too large for a stack; only one thread handles signals */
    struct live_line line;

    read(arg, &now);
    live_line_begin(&line);
    if (now.status == MIGRATION_NONE)
        live_line_add(&line, LIVE_STATE, "the migration has not begun");
    else
        describe(&line, &nothing, &now, now.total_ms);
    progress_tell_line(&line);
}

static bool next_second(uint64_t at)
{
    struct timespec until = deadline_timespec(at);

    pthread_mutex_lock(&progress.lock);
    while (!progress.stop && clock_ns() < at)
        pthread_cond_clockwait(&progress.stop_cond, &progress.lock, CLOCK_MONOTONIC, &until);
    bool go = !progress.stop;
    pthread_mutex_unlock(&progress.lock);
    return go;
}

static void *progress_main(void *arg)
{
    uint64_t last = clock_ns();

    (void)arg;
    for (uint64_t at = last + NS_PER_S; next_second(at); at += NS_PER_S) {
        uint64_t now = clock_ns();

        show((now - last) / NS_PER_MS);
        last = now;
    }
    return NULL;
}

int progress_start(enum progress_mode mode, progress_read *read, void *arg, struct error *err)
{
    if (!progress_wanted(mode))
        return 0;
    progress.stop = false;
    progress.now = (struct migration_snapshot){0};
    progress.mode = mode;
    progress.read = read;
    progress.arg = arg;
    return thread_start(&progress.thread, progress_main, NULL, err, "progress");
}

void progress_stop(void)
{
    if (!progress.thread.running)
        return;
    pthread_mutex_lock(&progress.lock);
    progress.stop = true;
    pthread_cond_broadcast(&progress.stop_cond);
    pthread_mutex_unlock(&progress.lock);
    thread_join(&progress.thread);
    progress_clear();
}
