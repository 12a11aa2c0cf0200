#include "multifd/send_pool.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "multifd/send_channel.h"

/* What all workers do together. */
struct order {
    struct ram_round *round; /* NULL: none */
    bool barrier;
    uint64_t finish_ms; /* not 0: the last order, with patience for the peer */
};

struct worker {
    struct send_channel channel;
    struct send_pool *pool;
    size_t id;
    pthread_t thread;
    bool started;
};

struct send_pool {
    struct page_sink base;
    struct channel_group *group;
    _Atomic uint64_t packet_number;
    enum codec_method method;
    const struct cpu_places *places;
    _Atomic uint64_t missed_zero_copy; /* barriers, see send_pool_missed_zero_copy() */
    size_t n;

    /* Under the group's lock: one order at a time, numbered. */
    uint64_t number; /* of the latest; a worker that has seen less has work */
    struct order order;
    bool stop;
    size_t pending;        /* workers that have not finished the latest order */
    size_t working;        /* workers that are in it now: they hold on to the round */
    uint64_t copied_sends; /* of all channels, at the latest barrier */

    struct worker workers[];
};

/* Waits for an order behind `seen`. False: the pool ends. */
static bool next_order(struct worker *w, uint64_t *seen, struct order *ret)
{
    struct send_pool *pool = w->pool;
    uint64_t since = clock_ns();

    pthread_mutex_lock(&pool->group->lock);
    while (pool->number == *seen && !pool->stop && !pool->group->failed)
        channel_group_wait(pool->group, DEADLINE_NEVER);
    bool go = pool->number != *seen && !pool->stop && !pool->group->failed;
    *seen = pool->number;
    *ret = pool->order;
    pool->working += go;
    pthread_mutex_unlock(&pool->group->lock);
    atomic_fetch_add_explicit(&w->channel.stats.wait_ns, clock_ns() - since, memory_order_relaxed);
    return go;
}

static void order_done(struct send_pool *pool)
{
    pthread_mutex_lock(&pool->group->lock);
    pool->pending--;
    pool->working--;
    pthread_cond_broadcast(&pool->group->changed);
    pthread_mutex_unlock(&pool->group->lock);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    uint64_t seen = 0;
    struct order order;
    struct error err;

    cpu_places_take(w->pool->places, w->id);
    while (next_order(w, &seen, &order)) {
        if ((order.round && send_channel_round(&w->channel, order.round, &err) < 0) ||
            (order.barrier && send_channel_sync(&w->channel, &err) < 0) ||
            (order.finish_ms && channel_finish(w->channel.channel, order.finish_ms, &err) < 0)) {
            err_in(&err, "channel %zu", w->id);
            channel_group_fail(w->pool->group, &err);
        }
        order_done(w->pool);
    }
    return NULL;
}

/* Under the lock, behind a barrier: every send is done, and known to have been copied or not. */
static void count_missed(struct send_pool *pool)
{
    uint64_t copied = 0;

    for (size_t i = 0; i < pool->n; i++)
        copied += atomic_load_explicit(&pool->workers[i].channel.channel->copied_sends,
                                       memory_order_relaxed);
    if (copied != pool->copied_sends)
        atomic_fetch_add_explicit(&pool->missed_zero_copy, 1, memory_order_relaxed);
    pool->copied_sends = copied;
}

/* Gives the order, and returns when all workers have carried it out. */
static int carry_out(struct send_pool *pool, const struct order *order, struct error *err)
{
    struct channel_group *g = pool->group;
    int rc = 0;

    pthread_mutex_lock(&g->lock);
    if (!g->failed) {
        pool->order = *order;
        pool->pending = pool->n;
        pool->number++;
        pthread_cond_broadcast(&g->changed);
        /* After a failure nobody starts any more, but the round is our caller's: wait for those
         * who are still in it. They have been interrupted. */
        while ((pool->pending > 0 && !g->failed) || pool->working > 0)
            channel_group_wait(g, DEADLINE_NEVER);
    }
    if (g->failed) {
        *err = g->err;
        rc = -1;
    } else if (order->barrier) {
        count_missed(pool);
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}

static int pool_round(struct page_sink *sink, struct ram_round *round, bool barrier,
                      struct error *err)
{
    struct order order = {.round = round, .barrier = barrier};

    return carry_out((struct send_pool *)sink, &order, err);
}

static int pool_finish(struct page_sink *sink, uint64_t patience_ms, struct error *err)
{
    struct order order = {.finish_ms = patience_ms};

    return carry_out((struct send_pool *)sink, &order, err);
}

static void pool_free(struct page_sink *sink)
{
    struct send_pool *pool = (struct send_pool *)sink;

    if (!pool)
        return;
    pthread_mutex_lock(&pool->group->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->group->changed);
    pthread_mutex_unlock(&pool->group->lock);
    for (size_t i = 0; i < pool->n; i++) {
        struct worker *w = &pool->workers[i];

        if (w->started)
            pthread_join(w->thread, NULL);
        channel_group_remove(pool->group, w->channel.channel);
        channel_free(w->channel.channel);
        packer_free(w->channel.packer);
        page_reader_done(&w->channel.reader);
    }
    free(pool);
}

static const struct page_sink_ops pool_ops = {
    .round = pool_round, .finish = pool_finish, .free = pool_free};

int send_pool_greet(struct channel *c, const struct uuid *uuid, size_t id, struct error *err)
{
    struct multifd_hello hello = {.uuid = *uuid, .id = (uint8_t)id};
    uint8_t bytes[MULTIFD_HELLO_LEN];

    multifd_hello_encode(&hello, bytes);
    if (channel_send(c, bytes, sizeof(bytes), 0, err) < 0)
        return err_in(err, "hello");
    return 0;
}

static int make_packer(struct worker *w, enum codec_method method, int level, struct error *err)
{
    const struct codec_ops *codec = codec_packing(method, level);

    if (method == CODEC_NONE)
        return 0;
    if (!codec)
        return err_set(err, ERR_USAGE, "method %s does not pack at level %d", codec_name(method),
                       level);
    return codec->packer_new(level, &w->channel.packer, err);
}

static int start_worker(struct worker *w, const struct send_pool_config *config, struct error *err)
{
    if (make_packer(w, config->method, config->level, err) < 0)
        return -1;
    errno = pthread_create(&w->thread, NULL, worker_main, w);
    if (errno)
        return err_sys(err, "channel %zu: thread", w->id);
    w->started = true;
    return 0;
}

int send_pool_new(const struct send_pool_config *config, struct page_sink **ret, struct error *err)
{
    struct send_pool *pool = calloc(1, sizeof(*pool) + config->n * sizeof(pool->workers[0]));

    if (!pool) {
        for (size_t i = 0; i < config->n; i++) {
            channel_group_remove(config->group, config->channels[i]);
            channel_free(config->channels[i]);
        }
        return err_sys(err, "memory for %zu channels", config->n);
    }
    pool->base.ops = &pool_ops;
    pool->group = config->group;
    pool->method = config->method;
    pool->places = config->places;
    pool->n = config->n;
    for (size_t i = 0; i < config->n; i++) {
        struct worker *w = &pool->workers[i];

        w->pool = pool;
        w->id = i;
        w->channel.channel = config->channels[i];
        w->channel.zeros_on_main = config->zeros_on_main;
        w->channel.packet_number = &pool->packet_number;
        w->channel.packet.method = config->method;
    }
    for (size_t i = 0; i < config->n; i++) {
        if (start_worker(&pool->workers[i], config, err) < 0) {
            pool_free(&pool->base);
            return -1;
        }
    }
    *ret = &pool->base;
    return 0;
}

const struct channel_stats *send_pool_stats(const struct page_sink *sink, size_t i,
                                            struct channel_traffic *ret)
{
    const struct send_pool *pool = (const struct send_pool *)sink;
    const struct send_channel *c = &pool->workers[i].channel;

    *ret = (struct channel_traffic){
        .bytes = atomic_load_explicit(&c->channel->bytes_sent, memory_order_relaxed),
        .copied_sends = atomic_load_explicit(&c->channel->copied_sends, memory_order_relaxed),
        .method = (int)pool->method,
    };
    return &c->stats;
}

uint64_t send_pool_missed_zero_copy(const struct page_sink *sink)
{
    const struct send_pool *pool = (const struct send_pool *)sink;

    return atomic_load_explicit(&pool->missed_zero_copy, memory_order_relaxed);
}
