#include "multifd/worker_pool.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"

struct worker {
    struct worker_pool *workers;
    size_t i;
    struct thread thread;
};

/* Waits for an order after number `seen`; NULL: the pool ends, or the group has failed. */
static void *next_order(struct worker *m, uint64_t *seen)
{
    struct worker_pool *c = m->workers;
    uint64_t since = clock_ns();

    pthread_mutex_lock(&c->config.group->lock);
    while (c->number == *seen && !c->stop && !c->config.group->failed)
        channel_group_wait(c->config.group, DEADLINE_NEVER);
    bool go = c->number != *seen && !c->stop && !c->config.group->failed;
    *seen = c->number;
    void *order = go ? c->order : NULL;
    c->working += go;
    pthread_mutex_unlock(&c->config.group->lock);
    c->config.ops->waited(c->config.arg, m->i, clock_ns() - since);
    return order;
}

static void order_done(struct worker_pool *c)
{
    struct channel_group *g = c->config.group;

    pthread_mutex_lock(&g->lock);
    c->pending--;
    c->working--;
    if (c->pending == 0 || g->failed)
        pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void *member_main(void *arg)
{
    struct worker *m = arg;
    struct worker_pool *c = m->workers;
    uint64_t seen = 0;
    void *order;
    struct error err;

    cpu_places_take(c->config.places, m->i);
    while ((order = next_order(m, &seen))) {
        if (c->config.ops->work(c->config.arg, m->i, order, &err) < 0) {
            err_in(&err, "channel %zu", m->i);
            channel_group_fail(c->config.group, &err);
        }
        order_done(c);
    }
    return NULL;
}

int worker_pool_carry_out(struct worker_pool *c, void *order, struct error *err)
{
    struct channel_group *g = c->config.group;
    int rc = 0;

    pthread_mutex_lock(&g->lock);
    if (!g->failed) {
        c->order = order;
        c->pending = c->n;
        c->number++;
        pthread_cond_broadcast(&g->changed);
        /* After a failure no thread starts the order any more. But `order` is our caller's: wait
         * for the threads that still use it. They have been interrupted. */
        while ((c->pending > 0 && !g->failed) || c->working > 0)
            channel_group_wait(g, DEADLINE_NEVER);
    }
    if (g->failed) {
        *err = g->err;
        rc = -1;
    } else if (c->config.ops->done) {
        c->config.ops->done(c->config.arg, order);
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}

void worker_pool_stop(struct worker_pool *c)
{
    if (!c->members)
        return;
    pthread_mutex_lock(&c->config.group->lock);
    c->stop = true;
    pthread_cond_broadcast(&c->config.group->changed);
    pthread_mutex_unlock(&c->config.group->lock);
    while (c->n > 0)
        thread_join(&c->members[--c->n].thread);
    free(c->members);
    c->members = NULL;
}

int worker_pool_start(struct worker_pool *c, const struct worker_pool_config *config,
                      struct error *err)
{
    *c = (struct worker_pool){.config = *config};
    c->members = calloc(MAX(config->n, (size_t)1), sizeof(*c->members));
    if (!c->members)
        return err_sys(err, "memory for %zu threads", config->n);
    for (size_t i = 0; i < config->n; i++) {
        struct worker *m = &c->members[i];

        m->workers = c;
        m->i = i;
        if (thread_start(&m->thread, member_main, m, err, "%s-%zu", config->name, i) < 0) {
            worker_pool_stop(c);
            return -1;
        }
        c->n++;
    }
    return 0;
}
