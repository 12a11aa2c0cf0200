#include "multifd/recv_pool.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "multifd/recv_barrier.h"
#include "multifd/recv_channel.h"

struct recv_pool {
    struct recv_pool_config config;
    struct channel_group *group;
    _Atomic int method; /* enum codec_method of all packets with pages; -1: none has come */

    /* Under the group's lock. */
    bool gap_awaited;          /* the main thread waits for channels to join */
    struct uuid uuid;          /* of the first hello; the others must have the same */
    const struct ram_map *map; /* NULL: the list is not known yet */
    struct populate *populate;

    struct recv_barrier barrier; /* has the channels */
};

int recv_pool_new(const struct recv_pool_config *config, struct recv_pool **ret, struct error *err)
{
    struct recv_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return err_sys(err, "memory for receiving channels");
    if (recv_barrier_init(&pool->barrier, config->group, config->stall_timeout_ms, err) < 0) {
        free(pool);
        return -1;
    }
    pool->config = *config;
    pool->group = config->group;
    pool->method = config->method;
    *ret = pool;
    return 0;
}

static void recv_channel_free(struct channel_group *group, struct recv_channel *c)
{
    if (!c)
        return;
    channel_group_drop(group, c->channel);
    unpacker_free(c->unpacker);
    free(c->pages);
    free(c);
}

void recv_pool_free(struct recv_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i < ARRAY_LEN(pool->barrier.channels); i++)
        recv_channel_free(pool->group, pool->barrier.channels[i]);
    recv_barrier_done(&pool->barrier);
    free(pool);
}

/* Under the lock. */
static int check_join(struct recv_pool *pool, const struct multifd_hello *hello, struct error *err)
{
    if (pool->config.n_expected && hello->id >= pool->config.n_expected)
        return err_set(err, ERR_PEER, "multifd hello: channel id %u, expected below %u", hello->id,
                       pool->config.n_expected);
    if (hello->id >= MULTIFD_CHANNELS_MAX)
        return err_set(err, ERR_PEER, "multifd hello: channel id %u, expected below %d", hello->id,
                       MULTIFD_CHANNELS_MAX);
    if (pool->barrier.channels[hello->id])
        return err_set(err, ERR_PEER, "multifd hello: channel id %u a second time, expected once",
                       hello->id);
    if (pool->barrier.complete)
        return err_set(err, ERR_PEER, "multifd hello: the main stream is complete");
    /* No pages come before the first flush, which belongs to the setup: missing it is harmless. */
    if (pool->barrier.flushes > 1)
        return err_set(err, ERR_PEER, "multifd hello: channel joined after a round's end");
    if (pool->barrier.n > 0)
        return uuid_expect(&hello->uuid, &pool->uuid, "multifd hello", err);
    return 0;
}

int recv_pool_join(struct recv_pool *pool, struct channel *channel,
                   const struct multifd_hello *hello, struct recv_channel **ret, struct error *err)
{
    struct recv_channel *c = calloc(1, sizeof(*c));
    int rc;

    if (!c) {
        channel_group_drop(pool->group, channel);
        return err_sys(err, "memory for a channel");
    }
    c->channel = channel;
    channel->recall = &pool->barrier.recall;
    c->id = hello->id;
    c->method = &pool->method;
    pthread_mutex_lock(&pool->group->lock);
    rc = check_join(pool, hello, err);
    if (rc == 0) {
        pool->barrier.channels[hello->id] = c;
        pool->barrier.n++;
        pool->uuid = hello->uuid;
        if (pool->gap_awaited)
            pthread_cond_broadcast(&pool->group->changed);
    }
    pthread_mutex_unlock(&pool->group->lock);
    if (rc < 0) {
        recv_channel_free(pool->group, c);
        return err_in(err, "channel %u", hello->id);
    }
    *ret = c;
    return 0;
}

/* One packet; *ret_go: there may be more. */
static int serve_packet(struct recv_pool *pool, struct recv_channel *c, bool *ret_go,
                        struct error *err)
{
    enum recv_next next;

    if (recv_channel_next(c, &next, err) < 0)
        return -1;
    *ret_go = next != RECV_CLOSED;
    if (next == RECV_NOTHING)
        recv_barrier_quiet(&pool->barrier, c);
    if (next != RECV_PACKET)
        return 0;
    atomic_fetch_add_explicit(&c->stats.packets, 1, memory_order_relaxed);
    c->highest = MAX(c->highest, c->packet.number);
    if (c->packet.n_normal + c->packet.n_zero > 0) {
        /* Only this thread writes covered_by and syncs: it needs no lock to read them. */
        if (c->covered_by <= c->syncs && recv_barrier_admit(&pool->barrier, c, ret_go, err) < 0)
            return -1;
        if (!*ret_go)
            return 0;
        if (recv_channel_apply(c, pool->map, pool->populate, err) < 0)
            return -1;
    }
    return c->packet.sync ? recv_barrier_stop(&pool->barrier, c, ret_go, err) : 0;
}

void recv_pool_serve(struct recv_pool *pool, struct recv_channel *c)
{
    struct error err;
    bool go = true;

    thread_rename("recv-%u", c->id);
    cpu_places_take(pool->config.places, c->id);
    while (go) {
        if (serve_packet(pool, c, &go, &err) < 0) {
            err_in(&err, "channel %u", c->id);
            /* After the end of the main stream nothing that a channel sends matters. */
            pthread_mutex_lock(&pool->group->lock);
            bool over = pool->barrier.over;
            pthread_mutex_unlock(&pool->group->lock);
            if (!over)
                channel_group_fail(pool->group, &err);
            break;
        }
    }
    recv_barrier_end(&pool->barrier, c);
}

void recv_pool_set_main(struct recv_pool *pool, const struct channel *main)
{
    pthread_mutex_lock(&pool->group->lock);
    pool->barrier.main = main;
    pthread_cond_broadcast(&pool->group->changed);
    pthread_mutex_unlock(&pool->group->lock);
}

void recv_pool_expect_close(struct recv_pool *pool)
{
    pthread_mutex_lock(&pool->group->lock);
    pool->barrier.close_expected = true;
    pthread_mutex_unlock(&pool->group->lock);
}

void recv_pool_open(struct recv_pool *pool, const struct ram_map *map, struct populate *populate)
{
    pthread_mutex_lock(&pool->group->lock);
    pool->map = map;
    pool->populate = populate;
    pool->barrier.open = true;
    pthread_cond_broadcast(&pool->group->changed);
    pthread_mutex_unlock(&pool->group->lock);
}

/* Under the lock. The lowest id that is missing, or -1. */
static int first_gap(const struct recv_pool *pool, bool some)
{
    size_t want = MAX(pool->config.n_expected, some ? 1U : 0U);

    for (size_t i = MULTIFD_CHANNELS_MAX; i-- > want;) {
        if (pool->barrier.channels[i]) {
            want = i + 1;
            break;
        }
    }
    for (size_t i = 0; i < want; i++) {
        if (!pool->barrier.channels[i])
            return (int)i;
    }
    return -1;
}

bool recv_pool_is_full(const struct recv_pool *pool)
{
    return pool->config.n_expected && first_gap(pool, false) < 0;
}

bool recv_pool_is_abandoned(const struct recv_pool *pool)
{
    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        if (pool->barrier.channels[i] && !pool->barrier.channels[i]->ended)
            return false;
    }
    return pool->barrier.n > 0;
}

int recv_pool_complete(struct recv_pool *pool, bool some, const bool *left, struct error *err)
{
    struct channel_group *g = pool->group;
    int gap, rc = 0;

    pthread_mutex_lock(&g->lock);
    /* From now on: the source connects all channels before it sends main's first byte. */
    uint64_t deadline = deadline_in_ms(pool->config.join_timeout_ms);
    pool->gap_awaited = true;
    while ((gap = first_gap(pool, some)) >= 0 && !g->failed && !(left && *left)) {
        if (!channel_group_wait(g, deadline) && first_gap(pool, some) >= 0)
            break;
    }
    pool->gap_awaited = false;
    if (g->failed) {
        *err = g->err;
        rc = -1;
    } else if (gap >= 0 && left && *left) {
        rc = err_set(err, ERR_PEER,
                     "channel %d: not connected, %zu channels are, and the source has left", gap,
                     pool->barrier.n);
    } else if (gap >= 0) {
        err_set_with(err, ERR_PEER, REMEDY_CONNECT_TIMEOUT,
                     "channel %d: not connected within %.1f s", gap,
                     (double)pool->config.join_timeout_ms / 1000);
        rc = err_add(err, ", %zu channels are: is their number the same on both sides?",
                     pool->barrier.n);
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}

int recv_pool_flush(struct recv_pool *pool, struct error *err)
{
    if (recv_pool_complete(pool, false, NULL, err) < 0) /* a late channel may leave a gap */
        return -1;
    return recv_barrier_flush(&pool->barrier, err);
}

int recv_pool_finish(struct recv_pool *pool, struct error *err)
{
    return recv_barrier_finish(&pool->barrier, err);
}

int recv_pool_check_numbers(struct recv_pool *pool, bool expected, struct error *err)
{
    return recv_barrier_check_numbers(&pool->barrier, expected, err);
}

size_t recv_pool_channels(struct recv_pool *pool, struct uuid *ret_uuid)
{
    pthread_mutex_lock(&pool->group->lock);
    size_t n = pool->barrier.n;
    *ret_uuid = pool->uuid;
    pthread_mutex_unlock(&pool->group->lock);
    return n;
}

const struct channel_stats *recv_pool_stats(struct recv_pool *pool, size_t i,
                                            struct channel_traffic *ret)
{
    pthread_mutex_lock(&pool->group->lock);
    struct recv_channel *c = pool->barrier.channels[i];
    pthread_mutex_unlock(&pool->group->lock);
    if (!c)
        return NULL;
    *ret = (struct channel_traffic){
        .bytes = atomic_load_explicit(&c->channel->bytes_received, memory_order_relaxed),
        .method = atomic_load_explicit(&pool->method, memory_order_relaxed),
    };
    return &c->stats;
}
