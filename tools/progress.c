#include "tools/progress.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "ram/block.h"

#define RATES_SHOWN 4 /* channels whose own rate fits on the line */

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

static double gb_per_s(uint64_t bytes, double seconds)
{
    return seconds > 0 ? (double)bytes / seconds / 1e9 : 0;
}

static void channel_rates(char *line, size_t size, double seconds)
{
    size_t len = strlen(line), n = MIN(progress.now.n_channels, (size_t)RATES_SHOWN);

    for (size_t i = 0; i < n && i < progress.before.n_channels; i++) {
        uint64_t bytes = progress.now.channels[i].bytes - progress.before.channels[i].bytes;
        int more =
            snprintf(line + len, size - len, "%s%.2f", i ? "+" : " [", gb_per_s(bytes, seconds));

        if (more < 0 || (size_t)more >= size - len)
            return;
        len += (size_t)more;
        if (i + 1 == n)
            snprintf(line + len, size - len, n < progress.now.n_channels ? "+…]" : "]");
    }
}

static void format_line(char *line, size_t size, double seconds)
{
    const struct migration_snapshot *now = &progress.now;
    uint64_t wire = now->wire_bytes - progress.before.wire_bytes;
    uint64_t pages = now->normal + now->zero - progress.before.normal - progress.before.zero;
    uint64_t done = (now->normal + now->zero) * RAM_PAGE_SIZE;
    double percent = now->total_bytes ? 100.0 * (double)done / (double)now->total_bytes : 0;
    int len = snprintf(line, size, "%s round %llu, %.0f %%, %.2f GB/s",
                       migration_status_name(now->status), (unsigned long long)now->rounds,
                       MIN(percent, 100.0), gb_per_s(wire, seconds));

    if (now->remaining_bytes && len > 0 && (size_t)len < size)
        len += snprintf(line + len, size - (size_t)len, ", %.0f MB left, dirty %.0f MB/s",
                        (double)now->remaining_bytes / 1e6,
                        (double)now->dirty_pages_per_s * RAM_PAGE_SIZE / 1e6);
    if (now->throttle_percent && len > 0 && (size_t)len < size)
        len += snprintf(line + len, size - (size_t)len, ", guest slowed by %u %%",
                        now->throttle_percent);
    if (now->remaining_bytes && pages && len > 0 && (size_t)len < size)
        snprintf(line + len, size - (size_t)len, ", round ends in %.0f s",
                 (double)now->remaining_bytes / RAM_PAGE_SIZE * seconds / (double)pages);
    channel_rates(line, size, seconds);
}

static void show(double seconds)
{
    char line[200];

    progress.before = progress.now;
    progress.read(progress.arg, &progress.now);
    if (progress.now.status == MIGRATION_NONE)
        return;
    format_line(line, sizeof(line), seconds);
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

        show((double)(now - last) / (double)NS_PER_S);
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
