#include "transport/channel_group.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

int channel_group_init(struct channel_group *g, uint64_t bytes_per_s, struct error *err)
{
    memset(g, 0, sizeof(*g));
    if (cancel_init(&g->cancel, err) < 0)
        return -1;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    rate_limit_init(&g->rate_limit, bytes_per_s);
    return 0;
}

void channel_group_done(struct channel_group *g)
{
    rate_limit_done(&g->rate_limit);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    cancel_done(&g->cancel);
}

int channel_group_add(struct channel_group *g, struct channel *c, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&g->lock);
    if (g->n == CHANNEL_GROUP_MAX)
        rc = err_set(err, ERR_PEER, "more than %d connections", CHANNEL_GROUP_MAX);
    else
        g->members[g->n++] = c;
    if (g->failed || g->closed)
        channel_interrupt(c);
    pthread_mutex_unlock(&g->lock);
    c->rate_limit = &g->rate_limit;
    return rc;
}

void channel_group_remove(struct channel_group *g, struct channel *c)
{
    pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < g->n; i++) {
        if (g->members[i] == c) {
            g->members[i] = g->members[--g->n];
            break;
        }
    }
    pthread_mutex_unlock(&g->lock);
}

void channel_group_drop(struct channel_group *g, struct channel *c)
{
    if (!c)
        return;
    channel_group_remove(g, c);
    channel_free(c);
}

/* Under the lock. */
static bool too_late(const struct channel_group *g, const struct error *err)
{
    bool cancel = err->kind == ERR_CANCELLED;

    return g->settled == SETTLED_ALL || (g->settled == SETTLED_CANCEL && cancel) ||
           (g->settled == SETTLED_FAILURE && !cancel);
}

int channel_group_fail(struct channel_group *g, const struct error *err)
{
    pthread_mutex_lock(&g->lock);
    if (!g->failed && !too_late(g, err)) {
        g->failed = true;
        g->err = *err;
        if (g->farewell)
            g->farewell(g->farewell_arg, err);
        cancel_request(&g->cancel);
        rate_limit_stop(&g->rate_limit);
        for (size_t i = 0; i < g->n; i++)
            channel_interrupt(g->members[i]);
    }
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    return -1;
}

int channel_group_settle(struct channel_group *g, enum channel_group_settled settled,
                         struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&g->lock);
    if (g->failed) {
        *err = g->err;
        rc = -1;
    }
    if (rc == 0)
        g->settled = settled;
    pthread_mutex_unlock(&g->lock);
    return rc;
}

void channel_group_close(struct channel_group *g)
{
    pthread_mutex_lock(&g->lock);
    g->closed = true;
    for (size_t i = 0; i < g->n; i++)
        channel_interrupt(g->members[i]);
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

int channel_group_check(struct channel_group *g, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&g->lock);
    if (g->failed) {
        *err = g->err;
        rc = -1;
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}

bool channel_group_wait(struct channel_group *g, uint64_t deadline)
{
    if (deadline == DEADLINE_NEVER) {
        pthread_cond_wait(&g->changed, &g->lock);
        return true;
    }
    struct timespec until = deadline_timespec(deadline);
    return pthread_cond_clockwait(&g->changed, &g->lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT;
}
