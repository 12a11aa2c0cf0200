#include "tools/progress.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "base/units.h"
#include "ram/block.h"

#define LINE_MAX_LEN 200
#define RATES_SHOWN  4 /* channels whose own rate fits on the line */

/* One per process: there is one terminal. */
static struct {
    bool stop;
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
    return mode == PROGRESS_ALWAYS || (mode == PROGRESS_AUTO && isatty(STDERR_FILENO));
}

void progress_show(const char *line)
{
    /* Carriage return and "erase to the end of the line", on a terminal only. */
    fprintf(stderr, isatty(STDERR_FILENO) ? "\r%s\033[K" : "%s\n", line);
    fflush(stderr);
}

void progress_clear(void)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
}

/* --- of a migration in this process ---------------------------------------------------------- */

/* Appends to a line; what does not fit is cut. */
static void PRINTF(2, 3) more(char line[static LINE_MAX_LEN], const char *format, ...)
{
    size_t len = strlen(line);
    va_list args;

    va_start(args, format);
    vsnprintf(line + len, LINE_MAX_LEN - len, format, args);
    va_end(args);
}

static void channel_rates(char line[static LINE_MAX_LEN], uint64_t ms)
{
    size_t n = MIN(progress.now.n_channels, (size_t)RATES_SHOWN);
    char rate[UNIT_TEXT_LEN];

    for (size_t i = 0; i < n && i < progress.before.n_channels; i++) {
        uint64_t bytes = progress.now.channels[i].bytes - progress.before.channels[i].bytes;

        more(line, "%s%s", i ? " + " : " [", rate_over_text(bytes, ms, rate));
        if (i + 1 == n)
            more(line, n < progress.now.n_channels ? " + …]" : "]");
    }
}

static void what_is_left(char line[static LINE_MAX_LEN], uint64_t ms)
{
    const struct migration_snapshot *now = &progress.now;
    uint64_t pages = now->normal + now->zero - progress.before.normal - progress.before.zero;
    uint64_t left = now->remaining_bytes / RAM_PAGE_SIZE;
    char text[UNIT_TEXT_LEN];

    if (!now->remaining_bytes)
        return;
    more(line, ", %s left", size_text(now->remaining_bytes, text));
    if (now->rounds > 1) /* in the first round nobody has counted what is written */
        more(line, ", dirty %s", rate_text(now->dirty_pages_per_s * RAM_PAGE_SIZE, text));
    if (now->throttle_percent)
        more(line, ", guest slowed by %u %%", now->throttle_percent);
    if (pages)
        more(line, ", round ends in %s",
             time_text((uint64_t)((double)left * (double)ms / (double)pages), text));
}

static void format_line(char line[static LINE_MAX_LEN], uint64_t ms)
{
    const struct migration_snapshot *now = &progress.now;
    uint64_t wire = now->wire_bytes - progress.before.wire_bytes;
    uint64_t done = (now->normal + now->zero) * RAM_PAGE_SIZE;
    double percent = now->total_bytes ? 100.0 * (double)done / (double)now->total_bytes : 0;
    char rate[UNIT_TEXT_LEN];

    snprintf(line, LINE_MAX_LEN, "%s round %llu, %.0f %%, %s", migration_status_name(now->status),
             (unsigned long long)now->rounds, MIN(percent, 100.0), rate_over_text(wire, ms, rate));
    what_is_left(line, ms);
    channel_rates(line, ms);
}

static void show(uint64_t ms)
{
    char line[LINE_MAX_LEN];

    progress.before = progress.now;
    progress.read(progress.arg, &progress.now);
    if (progress.now.status == MIGRATION_NONE)
        return;
    format_line(line, ms);
    progress_show(line);
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
