#include "tools/phase.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/thread.h"
#include "base/units.h"
#include "tools/line.h"
#include "tools/notice.h"
#include "tools/progress.h"

#define SILENCE_NS     (2 * NS_PER_S)
#define AGAIN_NS       (10 * NS_PER_S)
#define PHASE_LINE_MAX 400

/* One per process: there is one standard error. */
static struct {
    const char *verb; /* NULL: nothing is told */
    struct thread thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;
    uint64_t tell_at; /* DEADLINE_NEVER: there is nothing to tell */
    struct phase_limit limit;
    const _Atomic uint64_t *done; /* NULL: it is not counted */
    uint64_t total;
    char text[PHASE_LINE_MAX];
} phase = {.lock = PTHREAD_MUTEX_INITIALIZER,
           .changed = PTHREAD_COND_INITIALIZER,
           .tell_at = DEADLINE_NEVER};

/* --- a line ---------------------------------------------------------------------------------- */

static void append_limit(char line[static PHASE_LINE_MAX], size_t len)
{
    char time[UNIT_TEXT_LEN];

    if (phase.done && phase.total)
        snprintf(line + len, PHASE_LINE_MAX - len, ", %.0f %%",
                 100.0 * (double)atomic_load(phase.done) / (double)phase.total);
    else if (phase.limit.option && phase.limit.ms)
        snprintf(line + len, PHASE_LINE_MAX - len, ", for %s at most (%s)",
                 time_text(phase.limit.ms, time), phase.limit.option);
    else if (phase.limit.option)
        snprintf(line + len, PHASE_LINE_MAX - len, ", without a limit (%s)", phase.limit.option);
}

/* Under the lock. */
static void tell(void)
{
    char line[PHASE_LINE_MAX];
    int len = snprintf(line, sizeof(line), "ramjet %s: still %s", phase.verb, phase.text);

    if (len > 0 && (size_t)len < sizeof(line))
        append_limit(line, (size_t)len);
    progress_clear();
    line_print(stderr, "%s", line);
    phase.tell_at = phase.done ? clock_ns() + AGAIN_NS : DEADLINE_NEVER;
}

static void *phase_main(void *arg)
{
    pthread_mutex_lock(&phase.lock);
    while (!phase.stop) {
        if (phase.tell_at == DEADLINE_NEVER) {
            pthread_cond_wait(&phase.changed, &phase.lock);
            continue;
        }
        struct timespec until = deadline_timespec(phase.tell_at);
        if (clock_ns() >= phase.tell_at)
            tell();
        else
            pthread_cond_clockwait(&phase.changed, &phase.lock, CLOCK_MONOTONIC, &until);
    }
    pthread_mutex_unlock(&phase.lock);
    return arg;
}

/* --- phases ---------------------------------------------------------------------------------- */

static void PRINTF(4, 0) begin(struct phase_limit limit, const _Atomic uint64_t *done,
                               uint64_t total, const char *fmt, va_list args)
{
    pthread_mutex_lock(&phase.lock);
    phase.limit = limit;
    phase.done = done;
    phase.total = total;
    vsnprintf(phase.text, sizeof(phase.text), fmt, args);
    phase.tell_at = clock_ns() + SILENCE_NS;
    pthread_cond_signal(&phase.changed);
    pthread_mutex_unlock(&phase.lock);
}

void phase_set(struct phase_limit limit, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    begin(limit, NULL, 0, fmt, args);
    va_end(args);
}

void phase_set_work(const _Atomic uint64_t *done, uint64_t total, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    begin(PHASE_UNLIMITED, done, total, fmt, args);
    va_end(args);
}

void phase_clear(void)
{
    pthread_mutex_lock(&phase.lock);
    phase.tell_at = DEADLINE_NEVER;
    phase.done = NULL;
    pthread_mutex_unlock(&phase.lock);
}

/* Where no thread can be started, nothing is told: that is no reason to fail. */
void phase_start(const char *verb, enum progress_mode mode)
{
    struct error ignored;

    phase.verb = verb;
    if (mode != PROGRESS_NEVER && !notice_is_quiet())
        (void)!thread_start(&phase.thread, phase_main, NULL, &ignored, "phase");
}

void phase_stop(void)
{
    pthread_mutex_lock(&phase.lock);
    phase.stop = true;
    pthread_cond_signal(&phase.changed);
    pthread_mutex_unlock(&phase.lock);
    thread_join(&phase.thread);
}
