#include "tools/limits.h"

#include <stdio.h>

#include "base/clock.h"
#include "tools/line.h"
#include "tools/progress.h"
#include "tools/remedy.h"

static const char *const too_long = "it took too long";
static const char *const too_many = "the rounds are over";

static bool switches(const struct limits *l)
{
    return l->options->limits.what == AT_LIMIT_SWITCH;
}

static void reach(struct limits *l, const char *why, enum remedy remedy)
{
    if (switches(l)) {
        progress_clear();
        line_print(stderr, "ramjet send: %s%s: the guest is stopped after this round", why,
                   remedy_words(remedy));
        source_update(l->source, &l->unlimited);
        return;
    }
    pthread_mutex_lock(&l->lock);
    l->why = why;
    l->remedy = remedy;
    pthread_mutex_unlock(&l->lock);
    source_cancel(l->source);
}

static void *limits_main(void *arg)
{
    struct limits *l = arg;
    struct timespec until = deadline_timespec(l->deadline);

    pthread_mutex_lock(&l->lock);
    while (!l->stop && clock_ns() < l->deadline)
        pthread_cond_clockwait(&l->ended, &l->lock, CLOCK_MONOTONIC, &until);
    bool over = l->stop;
    pthread_mutex_unlock(&l->lock);
    if (!over)
        reach(l, too_long, REMEDY_TIME_LIMIT);
    return NULL;
}

int limits_start(struct limits *l, const struct options *options, struct source *source,
                 const struct runtime_parameters *live, struct error *err)
{
    *l = (struct limits){.options = options,
                         .source = source,
                         .unlimited = *live,
                         .deadline = deadline_in_ms(options->limits.after_ms),
                         .lock = PTHREAD_MUTEX_INITIALIZER,
                         .ended = PTHREAD_COND_INITIALIZER};
    l->unlimited.downtime_limit_ms = UINT64_MAX;
    if (switches(l) && options->limits.rounds == 1)
        source_update(source, &l->unlimited);
    if (options->limits.after_ms == 0)
        return 0;
    return thread_start(&l->thread, limits_main, l, err, "limits");
}

/* The last round that may be is the one after which the guest is stopped. */
void limits_pass(struct limits *l, uint64_t pass)
{
    uint64_t most = l->options->limits.rounds;

    if (most && pass == (switches(l) ? most : most + 1))
        reach(l, too_many, REMEDY_ROUND_LIMIT);
}

int limits_end(struct limits *l, int rc, struct error *err)
{
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->ended);
    pthread_mutex_unlock(&l->lock);
    thread_join(&l->thread);
    if (rc < 0 && err->kind == ERR_CANCELLED && l->why)
        err_set_with(err, ERR_CANCELLED, l->remedy, "cancelled: %s", l->why);
    return rc;
}
