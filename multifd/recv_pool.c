#include "multifd/recv_pool.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "multifd/recv_channel.h"

struct recv_pool {
    struct recv_pool_config config;
    struct channel_group *group;
    _Atomic int method; /* enum codec_method of all packets with pages; -1: none has come */

    /* Under the group's lock. */
    struct recv_channel *channels[MULTIFD_CHANNELS_MAX]; /* by id */
    size_t n;
    bool gap_awaited;    /* the main thread waits for channels to join */
    struct uuid uuid;    /* of the first hello; the others must have the same */
    uint64_t flushes;    /* how many the main stream has reached */
    uint64_t released;   /* channels may go on after their SYNC of this number */
    bool complete;       /* the main stream is; the channels' threads read what has come by now */
    bool over;           /* they have read it, and it had no page */
    uint64_t missing;    /* at the last flush: packets that have not come, by the others' numbers */
    bool close_expected; /* an end without the protocol's close message is a failure */
    const struct channel *main;
    const struct ram_map *map; /* NULL: the list is not known yet */
    struct populate *populate;

    struct cancel recall; /* wakes channels that wait for a packet, once main is complete */
};

int recv_pool_new(const struct recv_pool_config *config, struct recv_pool **ret, struct error *err)
{
    struct recv_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return err_sys(err, "memory for receiving channels");
    if (cancel_init(&pool->recall, err) < 0) {
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
    for (size_t i = 0; i < ARRAY_LEN(pool->channels); i++)
        recv_channel_free(pool->group, pool->channels[i]);
    cancel_done(&pool->recall);
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
    if (pool->channels[hello->id])
        return err_set(err, ERR_PEER, "multifd hello: channel id %u a second time, expected once",
                       hello->id);
    if (pool->complete)
        return err_set(err, ERR_PEER, "multifd hello: the main stream is complete");
    /* No pages come before the first flush, which belongs to the setup: missing it is harmless. */
    if (pool->flushes > 1)
        return err_set(err, ERR_PEER, "multifd hello: channel joined after a round's end");
    if (pool->n > 0)
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
    channel->recall = &pool->recall;
    c->id = hello->id;
    c->method = &pool->method;
    pthread_mutex_lock(&pool->group->lock);
    rc = check_join(pool, hello, err);
    if (rc == 0) {
        pool->channels[hello->id] = c;
        pool->n++;
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

/* Under the lock: every channel has consumed the SYNC of this number, or has ended. */
static bool all_came(const struct recv_pool *pool, uint64_t number)
{
    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        const struct recv_channel *c = pool->channels[i];

        if (c && c->syncs < number && !c->ended)
            return false;
    }
    return true;
}

/* How many looks make up a time limit. Looks are counted, so that a process that was stopped for a
 * while does not take its own pause for the peer's silence. */
#define SILENCE_LOOKS 8

/* Under the lock: bytes that have come on all connections. *ret_busy: a thread is working on what
 * has come, or main's path is lost; main's own reader fails if that lasts too long. */
static uint64_t bytes_of_all(const struct recv_pool *pool, bool *ret_busy)
{
    uint64_t bytes = atomic_load_explicit(&pool->main->bytes_received, memory_order_relaxed);

    *ret_busy = !atomic_load_explicit(&pool->main->receiving, memory_order_relaxed) ||
                channel_path_lost(pool->main);
    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        const struct recv_channel *c = pool->channels[i];

        if (!c || c->ended)
            continue;
        bytes += atomic_load_explicit(&c->channel->bytes_received, memory_order_relaxed);
        *ret_busy |= c->syncs == pool->released &&
                     !atomic_load_explicit(&c->channel->receiving, memory_order_relaxed);
    }
    return bytes;
}

/*
 * Under the lock: waits until the main stream has passed flush `number`, or is complete. False: it
 * never will. The source writes a flush's word together with its SYNC packets: once one of them has
 * come, main and the channels that lack theirs must not all be silent.
 */
static bool wait_released(struct recv_pool *pool, uint64_t number)
{
    uint64_t stall_ns = pool->config.stall_timeout_ms * NS_PER_MS, before = 0;
    unsigned looks = 0;

    while (pool->released < number && !pool->complete && !pool->group->failed) {
        uint64_t look = clock_ns() + stall_ns / SILENCE_LOOKS;
        bool busy;

        if (channel_group_wait(pool->group, stall_ns && pool->main ? look : DEADLINE_NEVER))
            continue;
        uint64_t bytes = bytes_of_all(pool, &busy);
        looks = bytes == before && !busy ? looks + 1 : 0;
        before = bytes;
        if (looks == SILENCE_LOOKS)
            return false;
    }
    return true;
}

static int silent_main(const struct recv_pool *pool, const struct recv_channel *c,
                       struct error *err)
{
    err_set_with(err, ERR_PEER, REMEDY_STALL_TIMEOUT, "nothing has come on main for %.1f s",
                 (double)pool->config.stall_timeout_ms / 1000);
    return err_add(err, ", nor on any channel, since SYNC packet %llu of this one",
                   (unsigned long long)c->syncs);
}

/* Stops at a SYNC until the main stream has passed the flush of the same number. */
static int stop_at_sync(struct recv_pool *pool, struct recv_channel *c, bool *ret_go,
                        struct error *err)
{
    uint64_t since = clock_ns();

    pthread_mutex_lock(&pool->group->lock);
    c->syncs++;
    if (all_came(pool, c->syncs))
        pthread_cond_broadcast(&pool->group->changed);
    int rc = wait_released(pool, c->syncs) ? 0 : silent_main(pool, c, err);
    *ret_go = rc == 0 && !pool->over && !pool->group->failed;
    pthread_mutex_unlock(&pool->group->lock);
    atomic_fetch_add_explicit(&c->stats.wait_ns, clock_ns() - since, memory_order_relaxed);
    return rc;
}

static int refuse_late_pages(struct error *err)
{
    return err_set(err, ERR_PEER, "pages after the main stream's last flush, expected none");
}

/*
 * For the first pages since the last SYNC. If they come before the main thread has read the block
 * list, waits for the list. After the main stream's end, refuses them before any reaches guest
 * memory.
 */
static int admit_pages(struct recv_pool *pool, struct recv_channel *c, bool *ret_go,
                       struct error *err)
{
    pthread_mutex_lock(&pool->group->lock);
    while (!pool->map && !pool->complete && !pool->group->failed)
        channel_group_wait(pool->group, DEADLINE_NEVER);
    int rc = pool->complete ? refuse_late_pages(err) : 0;
    *ret_go = rc == 0 && !pool->group->failed;
    c->covered_by = c->syncs + 1;
    pthread_mutex_unlock(&pool->group->lock);
    return rc;
}

/* Under the lock: a channel that has not yet read all that had come before the main stream's end,
 * or NULL. */
static const struct recv_channel *first_loud(const struct recv_pool *pool)
{
    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        const struct recv_channel *c = pool->channels[i];

        if (c && !c->quiet && !c->ended)
            return c;
    }
    return NULL;
}

/* All that had come before the recall has been read. From now on the thread waits without recall:
 * only the channel's end should come. */
static void fall_quiet(struct recv_pool *pool, struct recv_channel *c)
{
    c->channel->recall = NULL;
    pthread_mutex_lock(&pool->group->lock);
    c->quiet = true;
    if (!first_loud(pool))
        pthread_cond_broadcast(&pool->group->changed);
    pthread_mutex_unlock(&pool->group->lock);
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
        fall_quiet(pool, c);
    if (next != RECV_PACKET)
        return 0;
    atomic_fetch_add_explicit(&c->stats.packets, 1, memory_order_relaxed);
    c->highest = MAX(c->highest, c->packet.number);
    if (c->packet.n_normal + c->packet.n_zero > 0) {
        /* Only this thread writes covered_by and syncs: it needs no lock to read them. */
        if (c->covered_by <= c->syncs && admit_pages(pool, c, ret_go, err) < 0)
            return -1;
        if (!*ret_go)
            return 0;
        if (recv_channel_apply(c, pool->map, pool->populate, err) < 0)
            return -1;
    }
    return c->packet.sync ? stop_at_sync(pool, c, ret_go, err) : 0;
}

/* How long a channel's reader has been waiting for its peer without receiving anything. */
struct silence {
    const struct channel *channel;
    uint64_t bytes, limit_ns; /* limit_ns 0: no limit */
    unsigned looks;           /* in a row at which nothing new had come */
};

static struct silence silence_of(const struct channel *c, uint64_t limit_ms)
{
    return (struct silence){
        .channel = c,
        .bytes = atomic_load_explicit(&c->bytes_received, memory_order_relaxed),
        .limit_ns = limit_ms * NS_PER_MS,
    };
}

/*
 * Under the lock: waits for a change in the group, at most until the next look. False: the channel
 * has been silent for the whole limit. It is not silent while its thread works on what has come,
 * or while the network's path is lost: the channel's own receiver fails if that lasts too long.
 */
static bool wait_unless_silent(struct channel_group *g, struct silence *s)
{
    if (s->limit_ns == 0)
        return channel_group_wait(g, DEADLINE_NEVER);
    if (channel_group_wait(g, clock_ns() + s->limit_ns / SILENCE_LOOKS))
        return true;
    uint64_t bytes = atomic_load_explicit(&s->channel->bytes_received, memory_order_relaxed);
    bool waits = atomic_load_explicit(&s->channel->receiving, memory_order_relaxed);
    bool silent = bytes == s->bytes && waits && !channel_path_lost(s->channel);
    s->looks = silent ? s->looks + 1 : 0;
    s->bytes = bytes;
    return s->looks < SILENCE_LOOKS;
}

/*
 * Under the lock: waits for the main stream's end. A source closes its channels only after it has
 * written the main stream, so the rest of that must be on its way. False: main is silent too.
 */
static bool main_completes(struct recv_pool *pool)
{
    while (!pool->main && !pool->over && !pool->group->failed)
        channel_group_wait(pool->group, DEADLINE_NEVER); /* main's arrival has its own deadline */
    if (!pool->main)
        return true;
    struct silence silence = silence_of(pool->main, pool->config.stall_timeout_ms);
    while (!pool->over && !pool->group->failed) {
        if (!wait_unless_silent(pool->group, &silence))
            return false;
    }
    return true;
}

static void end_channel(struct recv_pool *pool, struct recv_channel *c)
{
    struct error err;

    pthread_mutex_lock(&pool->group->lock);
    c->ended = true;
    bool awaited = c->syncs < pool->flushes || (pool->complete && !first_loud(pool));
    if (awaited || !pool->main) /* a thread that waits for main waits for this as well */
        pthread_cond_broadcast(&pool->group->changed);
    bool cut = c->channel->cut && pool->close_expected && !pool->complete;
    bool completes = !cut && main_completes(pool);
    pthread_mutex_unlock(&pool->group->lock);
    if (completes)
        return;
    err_set(&err, ERR_PEER, "channel %u: %s by the peer, the main stream is not complete", c->id,
            cut ? "cut off, not closed" : "closed");
    channel_group_fail(pool->group, &err);
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
            bool over = pool->over;
            pthread_mutex_unlock(&pool->group->lock);
            if (!over)
                channel_group_fail(pool->group, &err);
            break;
        }
    }
    end_channel(pool, c);
}

void recv_pool_set_main(struct recv_pool *pool, const struct channel *main)
{
    pthread_mutex_lock(&pool->group->lock);
    pool->main = main;
    pthread_cond_broadcast(&pool->group->changed);
    pthread_mutex_unlock(&pool->group->lock);
}

void recv_pool_expect_close(struct recv_pool *pool)
{
    pthread_mutex_lock(&pool->group->lock);
    pool->close_expected = true;
    pthread_mutex_unlock(&pool->group->lock);
}

void recv_pool_open(struct recv_pool *pool, const struct ram_map *map, struct populate *populate)
{
    pthread_mutex_lock(&pool->group->lock);
    pool->map = map;
    pool->populate = populate;
    pthread_cond_broadcast(&pool->group->changed);
    pthread_mutex_unlock(&pool->group->lock);
}

/* Under the lock. The lowest id that is missing, or -1. */
static int first_gap(const struct recv_pool *pool, bool some)
{
    size_t want = MAX(pool->config.n_expected, some ? 1U : 0U);

    for (size_t i = MULTIFD_CHANNELS_MAX; i-- > want;) {
        if (pool->channels[i]) {
            want = i + 1;
            break;
        }
    }
    for (size_t i = 0; i < want; i++) {
        if (!pool->channels[i])
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
        if (pool->channels[i] && !pool->channels[i]->ended)
            return false;
    }
    return pool->n > 0;
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
                     pool->n);
    } else if (gap >= 0) {
        err_set_with(err, ERR_PEER, REMEDY_CONNECT_TIMEOUT,
                     "channel %d: not connected within %.1f s", gap,
                     (double)pool->config.join_timeout_ms / 1000);
        rc = err_add(err, ", %zu channels are: is their number the same on both sides?", pool->n);
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}

/* Under the lock. The first channel that has consumed fewer than `syncs` SYNCs, or NULL. */
static struct recv_channel *behind(struct recv_pool *pool, uint64_t syncs)
{
    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        if (pool->channels[i] && pool->channels[i]->syncs < syncs)
            return pool->channels[i];
    }
    return NULL;
}

/*
 * Under the lock. 0 when all channels have come to the flush. The source writes a flush's SYNC
 * packets before its word: a channel that stays silent until the limit will never bring its SYNC.
 */
static int await_syncs(struct recv_pool *pool, struct error *err)
{
    uint64_t stall_ms = pool->config.stall_timeout_ms;
    struct silence silence = {.channel = NULL};
    struct recv_channel *c;

    while ((c = behind(pool, pool->flushes)) && !pool->group->failed) {
        if (c->ended)
            return err_set(err, ERR_PEER,
                           "channel %u: closed before flush %llu of the main stream, a SYNC packet "
                           "was expected",
                           c->id, (unsigned long long)pool->flushes);
        if (c->channel != silence.channel)
            silence = silence_of(c->channel, stall_ms);
        if (!wait_unless_silent(pool->group, &silence))
            return err_set_with(err, ERR_PEER, REMEDY_STALL_TIMEOUT,
                                "channel %u: no SYNC packet within %.1f s of the main stream's "
                                "flush %llu",
                                c->id, (double)stall_ms / 1000, (unsigned long long)pool->flushes);
    }
    if (pool->group->failed) {
        *err = pool->group->err;
        return -1;
    }
    return 0;
}

/*
 * Under the lock, at a flush, while no channel reads on. A source numbers its packets from 0, over
 * all its channels: a gap shows packets of a channel that we do not know.
 */
static uint64_t count_missing(const struct recv_pool *pool)
{
    uint64_t came = 0, highest = 0;

    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        const struct recv_channel *c = pool->channels[i];

        if (!c)
            continue;
        came += atomic_load_explicit(&c->stats.packets, memory_order_relaxed);
        highest = MAX(highest, c->highest);
    }
    return came > 0 && highest >= came ? highest + 1 - came : 0;
}

int recv_pool_check_numbers(struct recv_pool *pool, bool expected, struct error *err)
{
    pthread_mutex_lock(&pool->group->lock);
    uint64_t missing = pool->missing;
    bool none = pool->n == 0;
    pthread_mutex_unlock(&pool->group->lock);
    if (none && expected)
        return err_set(err, ERR_PEER,
                       "no multifd channel connected, but the main stream expects some");
    if (missing == 0)
        return 0;
    return err_set(
        err, ERR_PEER,
        "%llu multifd packets are missing by the others' numbers: were they on a channel that "
        "was refused?",
        (unsigned long long)missing);
}

int recv_pool_flush(struct recv_pool *pool, struct error *err)
{
    if (recv_pool_complete(pool, false, NULL, err) < 0) /* a late channel may leave a gap */
        return -1;
    pthread_mutex_lock(&pool->group->lock);
    pool->flushes++;
    int rc = await_syncs(pool, err);
    if (rc == 0) {
        pool->missing = count_missing(pool);
        pool->released = pool->flushes;
    }
    pthread_cond_broadcast(&pool->group->changed);
    pthread_mutex_unlock(&pool->group->lock);
    return rc;
}

/* Under the lock. The source's last flush must come after all pages that this channel brought. */
static int check_finished(const struct recv_pool *pool, const struct recv_channel *c,
                          struct error *err)
{
    if (c->covered_by > pool->flushes) {
        refuse_late_pages(err);
        return err_in(err, "channel %u", c->id);
    }
    if (pool->flushes == 0)
        return err_set(err, ERR_PEER, "channel %u: the main stream had no flush, expected some",
                       c->id);
    return 0;
}

/*
 * Under the lock. Each channel's own thread reads what has come by now, because it may have
 * received a part of it already. It waits for the rest of a packet that has begun, at most for the
 * stall timeout. Twice that is the limit for a peer that keeps sending packets without pages.
 */
static int await_quiet(struct recv_pool *pool, struct error *err)
{
    uint64_t limit_ms = 2 * pool->config.stall_timeout_ms, deadline = deadline_in_ms(limit_ms);
    const struct recv_channel *c;

    pool->complete = true;
    cancel_request(&pool->recall);
    pthread_cond_broadcast(&pool->group->changed); /* for channels at a SYNC without a flush */
    while (first_loud(pool) && !pool->group->failed) {
        if (!channel_group_wait(pool->group, deadline) && (c = first_loud(pool)))
            return err_set_with(
                err, ERR_PEER, REMEDY_STALL_TIMEOUT,
                "channel %u: still sends packets %.1f s after the main stream's end", c->id,
                (double)limit_ms / 1000);
    }
    if (pool->group->failed) {
        *err = pool->group->err;
        return -1;
    }
    return 0;
}

int recv_pool_finish(struct recv_pool *pool, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&pool->group->lock);
    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX && rc == 0; i++) {
        if (pool->channels[i])
            rc = check_finished(pool, pool->channels[i], err);
    }
    if (pool->group->failed) {
        *err = pool->group->err;
        rc = -1;
    }
    if (rc == 0)
        rc = await_quiet(pool, err);
    pool->over = rc == 0;
    pthread_cond_broadcast(&pool->group->changed);
    pthread_mutex_unlock(&pool->group->lock);
    return rc;
}

size_t recv_pool_channels(struct recv_pool *pool, struct uuid *ret_uuid)
{
    pthread_mutex_lock(&pool->group->lock);
    size_t n = pool->n;
    *ret_uuid = pool->uuid;
    pthread_mutex_unlock(&pool->group->lock);
    return n;
}

const struct channel_stats *recv_pool_stats(struct recv_pool *pool, size_t i,
                                            struct channel_traffic *ret)
{
    pthread_mutex_lock(&pool->group->lock);
    struct recv_channel *c = pool->channels[i];
    pthread_mutex_unlock(&pool->group->lock);
    if (!c)
        return NULL;
    *ret = (struct channel_traffic){
        .bytes = atomic_load_explicit(&c->channel->bytes_received, memory_order_relaxed),
        .method = atomic_load_explicit(&pool->method, memory_order_relaxed),
    };
    return &c->stats;
}
