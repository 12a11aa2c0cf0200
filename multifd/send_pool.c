#include "multifd/send_pool.h"

#include <stdlib.h>

#include "multifd/send_channel.h"
#include "multifd/worker_pool.h"

/* What all worker threads do together. */
struct order {
    struct ram_round *round; /* NULL: none */
    bool barrier;
    uint64_t finish_ms; /* not 0: close the channels, and wait at most so long for the peer */
};

struct send_pool {
    struct page_sink base;
    struct channel_group *group;
    struct worker_pool workers;
    _Atomic uint64_t packet_number;
    enum codec_method method;
    uint64_t copied_sends; /* of all channels, at the latest barrier; under the lock */
    size_t n;
    struct send_channel channels[]; /* one thread for each */
};

/* --- the threads ------------------------------------------------------------------------------ */

static int work(void *arg, size_t i, void *given, struct error *err)
{
    struct send_channel *c = &((struct send_pool *)arg)->channels[i];
    const struct order *order = given;

    if (order->round && send_channel_round(c, order->round, err) < 0)
        return -1;
    if (order->barrier && send_channel_sync(c, err) < 0)
        return -1;
    return order->finish_ms ? channel_finish(c->channel, order->finish_ms, err) : 0;
}

static void waited(void *arg, size_t i, uint64_t ns)
{
    struct send_pool *pool = arg;

    atomic_fetch_add_explicit(&pool->channels[i].stats.wait_ns, ns, memory_order_relaxed);
}

/* After a barrier every send is complete, and it is known whether the kernel copied it. */
static void count_missed(void *arg, void *given)
{
    struct send_pool *pool = arg;
    uint64_t copied = 0;

    if (!((struct order *)given)->barrier)
        return;
    for (size_t i = 0; i < pool->n; i++)
        copied +=
            atomic_load_explicit(&pool->channels[i].channel->copied_sends, memory_order_relaxed);
    if (copied != pool->copied_sends)
        atomic_fetch_add_explicit(&pool->base.missed_zero_copy, 1, memory_order_relaxed);
    pool->copied_sends = copied;
}

static const struct worker_pool_ops worker_pool_ops = {
    .work = work, .waited = waited, .done = count_missed};

/* --- the sink --------------------------------------------------------------------------------- */

static int pool_round(struct page_sink *sink, struct ram_round *round, bool barrier,
                      struct error *err)
{
    struct order order = {.round = round, .barrier = barrier};

    return worker_pool_carry_out(&((struct send_pool *)sink)->workers, &order, err);
}

static int pool_finish(struct page_sink *sink, uint64_t patience_ms, struct error *err)
{
    struct order order = {.finish_ms = patience_ms};

    return worker_pool_carry_out(&((struct send_pool *)sink)->workers, &order, err);
}

static void pool_free(struct page_sink *sink)
{
    struct send_pool *pool = (struct send_pool *)sink;

    if (!pool)
        return;
    worker_pool_stop(&pool->workers);
    for (size_t i = 0; i < pool->n; i++) {
        struct send_channel *c = &pool->channels[i];

        channel_group_drop(pool->group, c->channel);
        packer_free(c->packer);
        page_walk_done(&c->walk);
    }
    free(pool);
}

static const struct channel_stats *pool_stats(const struct page_sink *sink, size_t i,
                                              struct channel_traffic *ret)
{
    const struct send_pool *pool = (const struct send_pool *)sink;
    const struct send_channel *c = &pool->channels[i];

    *ret = (struct channel_traffic){
        .bytes = atomic_load_explicit(&c->channel->bytes_sent, memory_order_relaxed),
        .copied_sends = atomic_load_explicit(&c->channel->copied_sends, memory_order_relaxed),
        .method = (int)pool->method,
    };
    return &c->stats;
}

static const struct page_sink_ops pool_ops = {
    .round = pool_round, .finish = pool_finish, .stats = pool_stats, .free = pool_free};

int send_pool_greet(struct channel *c, const struct uuid *uuid, size_t id, struct error *err)
{
    struct multifd_hello hello = {.uuid = *uuid, .id = (uint8_t)id};
    uint8_t bytes[MULTIFD_HELLO_LEN];

    multifd_hello_encode(&hello, bytes);
    if (channel_send(c, bytes, sizeof(bytes), 0, err) < 0)
        return err_in(err, "hello");
    return 0;
}

static int make_packer(struct send_channel *c, enum codec_method method, int level,
                       struct error *err)
{
    const struct codec_ops *codec = codec_packing(method, level);

    if (method == CODEC_NONE)
        return 0;
    if (!codec)
        return err_set(err, ERR_USAGE, "method %s does not pack at level %d", codec_name(method),
                       level);
    return codec->packer_new(level, &c->packer, err);
}

static int make_packers(struct send_pool *pool, int level, struct error *err)
{
    for (size_t i = 0; i < pool->n; i++) {
        if (make_packer(&pool->channels[i], pool->method, level, err) < 0)
            return -1;
    }
    return 0;
}

int send_pool_new(const struct send_pool_config *config, struct page_sink **ret, struct error *err)
{
    struct send_pool *pool = calloc(1, sizeof(*pool) + config->n * sizeof(pool->channels[0]));

    if (!pool) {
        for (size_t i = 0; i < config->n; i++)
            channel_group_drop(config->group, config->channels[i]);
        return err_sys(err, "memory for %zu channels", config->n);
    }
    struct worker_pool_config workers = {
        .ops = &worker_pool_ops,
        .name = "send",
        .group = config->group,
        .arg = pool,
        .places = config->places,
        .n = config->n,
    };
    pool->base.ops = &pool_ops;
    pool->base.n_channels = config->n;
    pool->group = config->group;
    pool->method = config->method;
    pool->n = config->n;
    for (size_t i = 0; i < config->n; i++) {
        struct send_channel *c = &pool->channels[i];

        c->channel = config->channels[i];
        c->zeros_on_main = config->zeros_on_main;
        c->packet_number = &pool->packet_number;
        c->packet.method = config->method;
    }
    if (make_packers(pool, config->level, err) < 0 ||
        worker_pool_start(&pool->workers, &workers, err) < 0) {
        pool_free(&pool->base);
        return -1;
    }
    *ret = &pool->base;
    return 0;
}
