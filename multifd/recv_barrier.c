#include "multifd/recv_barrier.h"

#include "base/clock.h"

int recv_barrier_init(struct recv_barrier *b, struct channel_group *group,
                      uint64_t stall_timeout_ms, struct error *err)
{
    *b = (struct recv_barrier){.group = group, .stall_timeout_ms = stall_timeout_ms};
    return cancel_init(&b->recall, err);
}

void recv_barrier_done(struct recv_barrier *b)
{
    cancel_done(&b->recall);
}

/* --- a peer's silence ------------------------------------------------------------------------ */

/* How many looks make up a time limit. Looks are counted, so that a process that was stopped for a
 * while does not take its own pause for the peer's silence. */
#define SILENCE_LOOKS 8

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

/* --- the channels' threads ------------------------------------------------------------------- */

/* Under the lock: every channel has consumed the SYNC of this number, or has ended. */
static bool all_came(const struct recv_barrier *b, uint64_t number)
{
    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        const struct recv_channel *c = b->channels[i];

        if (c && c->syncs < number && !c->ended)
            return false;
    }
    return true;
}

/* Under the lock: bytes that have come on all connections. *ret_busy: a thread is working on what
 * has come, or main's path is lost; main's own reader fails if that lasts too long. */
static uint64_t bytes_of_all(const struct recv_barrier *b, bool *ret_busy)
{
    uint64_t bytes = atomic_load_explicit(&b->main->bytes_received, memory_order_relaxed);

    *ret_busy = !atomic_load_explicit(&b->main->receiving, memory_order_relaxed) ||
                channel_path_lost(b->main);
    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        const struct recv_channel *c = b->channels[i];

        if (!c || c->ended)
            continue;
        bytes += atomic_load_explicit(&c->channel->bytes_received, memory_order_relaxed);
        *ret_busy |= c->syncs == b->released &&
                     !atomic_load_explicit(&c->channel->receiving, memory_order_relaxed);
    }
    return bytes;
}

/*
 * Under the lock: waits until the main stream has passed flush `number`, or is complete. False: it
 * never will. The source writes a flush's word together with its SYNC packets: once one of them has
 * come, main and the channels that lack theirs must not all be silent.
 */
static bool wait_released(struct recv_barrier *b, uint64_t number)
{
    uint64_t stall_ns = b->stall_timeout_ms * NS_PER_MS, before = 0;
    unsigned looks = 0;

    while (b->released < number && !b->complete && !b->group->failed) {
        uint64_t look = clock_ns() + stall_ns / SILENCE_LOOKS;
        bool busy;

        if (channel_group_wait(b->group, stall_ns && b->main ? look : DEADLINE_NEVER))
            continue;
        uint64_t bytes = bytes_of_all(b, &busy);
        looks = bytes == before && !busy ? looks + 1 : 0;
        before = bytes;
        if (looks == SILENCE_LOOKS)
            return false;
    }
    return true;
}

static int silent_main(const struct recv_barrier *b, const struct recv_channel *c,
                       struct error *err)
{
    err_set_with(err, ERR_PEER, REMEDY_STALL_TIMEOUT, "nothing has come on main for %.1f s",
                 (double)b->stall_timeout_ms / 1000);
    return err_add(err, ", nor on any channel, since SYNC packet %llu of this one",
                   (unsigned long long)c->syncs);
}

int recv_barrier_stop(struct recv_barrier *b, struct recv_channel *c, bool *ret_go,
                      struct error *err)
{
    uint64_t since = clock_ns();

    pthread_mutex_lock(&b->group->lock);
    c->syncs++;
    if (all_came(b, c->syncs))
        pthread_cond_broadcast(&b->group->changed);
    int rc = wait_released(b, c->syncs) ? 0 : silent_main(b, c, err);
    *ret_go = rc == 0 && !b->over && !b->group->failed;
    pthread_mutex_unlock(&b->group->lock);
    atomic_fetch_add_explicit(&c->stats.wait_ns, clock_ns() - since, memory_order_relaxed);
    return rc;
}

static int refuse_late_pages(struct error *err)
{
    return err_set(err, ERR_PEER, "pages after the main stream's last flush, expected none");
}

int recv_barrier_admit(struct recv_barrier *b, struct recv_channel *c, bool *ret_go,
                       struct error *err)
{
    pthread_mutex_lock(&b->group->lock);
    while (!b->open && !b->complete && !b->group->failed)
        channel_group_wait(b->group, DEADLINE_NEVER);
    int rc = b->complete ? refuse_late_pages(err) : 0;
    *ret_go = rc == 0 && !b->group->failed;
    c->covered_by = c->syncs + 1;
    pthread_mutex_unlock(&b->group->lock);
    return rc;
}

/* Under the lock: a channel that has not yet read all that had come before the main stream's end,
 * or NULL. */
static const struct recv_channel *first_loud(const struct recv_barrier *b)
{
    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        const struct recv_channel *c = b->channels[i];

        if (c && !c->quiet && !c->ended)
            return c;
    }
    return NULL;
}

void recv_barrier_quiet(struct recv_barrier *b, struct recv_channel *c)
{
    c->channel->recall = NULL;
    pthread_mutex_lock(&b->group->lock);
    c->quiet = true;
    if (!first_loud(b))
        pthread_cond_broadcast(&b->group->changed);
    pthread_mutex_unlock(&b->group->lock);
}

/*
 * Under the lock: waits for the main stream's end. A source closes its channels only after it has
 * written the main stream, so the rest of that must be on its way. False: main is silent too.
 */
static bool main_completes(struct recv_barrier *b)
{
    while (!b->main && !b->over && !b->group->failed)
        channel_group_wait(b->group, DEADLINE_NEVER); /* main's arrival has its own deadline */
    if (!b->main)
        return true;
    struct silence silence = silence_of(b->main, b->stall_timeout_ms);
    while (!b->over && !b->group->failed) {
        if (!wait_unless_silent(b->group, &silence))
            return false;
    }
    return true;
}

void recv_barrier_end(struct recv_barrier *b, struct recv_channel *c)
{
    struct error err;

    pthread_mutex_lock(&b->group->lock);
    c->ended = true;
    bool awaited = c->syncs < b->flushes || (b->complete && !first_loud(b));
    if (awaited || !b->main) /* a thread that waits for main waits for this as well */
        pthread_cond_broadcast(&b->group->changed);
    bool cut = c->channel->cut && b->close_expected && !b->complete;
    bool completes = !cut && main_completes(b);
    pthread_mutex_unlock(&b->group->lock);
    if (completes)
        return;
    err_set(&err, ERR_PEER, "channel %u: %s by the peer, the main stream is not complete", c->id,
            cut ? "cut off, not closed" : "closed");
    channel_group_fail(b->group, &err);
}

/* --- the thread of the main stream ----------------------------------------------------------- */

/* Under the lock. The first channel that has consumed fewer than `syncs` SYNCs, or NULL. */
static struct recv_channel *behind(struct recv_barrier *b, uint64_t syncs)
{
    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        if (b->channels[i] && b->channels[i]->syncs < syncs)
            return b->channels[i];
    }
    return NULL;
}

/*
 * Under the lock. 0 when all channels have come to the flush. The source writes a flush's SYNC
 * packets before its word: a channel that stays silent until the limit will never bring its SYNC.
 */
static int await_syncs(struct recv_barrier *b, struct error *err)
{
    uint64_t stall_ms = b->stall_timeout_ms;
    struct silence silence = {.channel = NULL};
    struct recv_channel *c;

    while ((c = behind(b, b->flushes)) && !b->group->failed) {
        if (c->ended)
            return err_set(err, ERR_PEER,
                           "channel %u: closed before flush %llu of the main stream, a SYNC packet "
                           "was expected",
                           c->id, (unsigned long long)b->flushes);
        if (c->channel != silence.channel)
            silence = silence_of(c->channel, stall_ms);
        if (!wait_unless_silent(b->group, &silence))
            return err_set_with(err, ERR_PEER, REMEDY_STALL_TIMEOUT,
                                "channel %u: no SYNC packet within %.1f s of the main stream's "
                                "flush %llu",
                                c->id, (double)stall_ms / 1000, (unsigned long long)b->flushes);
    }
    if (b->group->failed) {
        *err = b->group->err;
        return -1;
    }
    return 0;
}

/*
 * Under the lock, at a flush, while no channel reads on. A source numbers its packets from 0, over
 * all its channels: a gap shows packets of a channel that we do not know.
 */
static uint64_t count_missing(const struct recv_barrier *b)
{
    uint64_t came = 0, highest = 0;

    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        const struct recv_channel *c = b->channels[i];

        if (!c)
            continue;
        came += atomic_load_explicit(&c->stats.packets, memory_order_relaxed);
        highest = MAX(highest, c->highest);
    }
    return came > 0 && highest >= came ? highest + 1 - came : 0;
}

int recv_barrier_check_numbers(struct recv_barrier *b, bool expected, struct error *err)
{
    pthread_mutex_lock(&b->group->lock);
    uint64_t missing = b->missing;
    bool none = b->n == 0;
    pthread_mutex_unlock(&b->group->lock);
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

int recv_barrier_flush(struct recv_barrier *b, struct error *err)
{
    pthread_mutex_lock(&b->group->lock);
    b->flushes++;
    int rc = await_syncs(b, err);
    if (rc == 0) {
        b->missing = count_missing(b);
        b->released = b->flushes;
    }
    pthread_cond_broadcast(&b->group->changed);
    pthread_mutex_unlock(&b->group->lock);
    return rc;
}

/* Under the lock. The source's last flush must come after all pages that this channel brought. */
static int check_finished(const struct recv_barrier *b, const struct recv_channel *c,
                          struct error *err)
{
    if (c->covered_by > b->flushes) {
        refuse_late_pages(err);
        return err_in(err, "channel %u", c->id);
    }
    if (b->flushes == 0)
        return err_set(err, ERR_PEER, "channel %u: the main stream had no flush, expected some",
                       c->id);
    return 0;
}

/*
 * Under the lock. Each channel's own thread reads what has come by now, because it may have
 * received a part of it already. It waits for the rest of a packet that has begun, at most for the
 * stall timeout. Twice that is the limit for a peer that keeps sending packets without pages.
 */
static int await_quiet(struct recv_barrier *b, struct error *err)
{
    uint64_t limit_ms = 2 * b->stall_timeout_ms, deadline = deadline_in_ms(limit_ms);
    const struct recv_channel *c;

    b->complete = true;
    cancel_request(&b->recall);
    pthread_cond_broadcast(&b->group->changed); /* for channels at a SYNC without a flush */
    while (first_loud(b) && !b->group->failed) {
        if (!channel_group_wait(b->group, deadline) && (c = first_loud(b)))
            return err_set_with(
                err, ERR_PEER, REMEDY_STALL_TIMEOUT,
                "channel %u: still sends packets %.1f s after the main stream's end", c->id,
                (double)limit_ms / 1000);
    }
    if (b->group->failed) {
        *err = b->group->err;
        return -1;
    }
    return 0;
}

int recv_barrier_finish(struct recv_barrier *b, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&b->group->lock);
    for (size_t i = 0; i < MULTIFD_CHANNELS_MAX && rc == 0; i++) {
        if (b->channels[i])
            rc = check_finished(b, b->channels[i], err);
    }
    if (b->group->failed) {
        *err = b->group->err;
        rc = -1;
    }
    if (rc == 0)
        rc = await_quiet(b, err);
    b->over = rc == 0;
    pthread_cond_broadcast(&b->group->changed);
    pthread_mutex_unlock(&b->group->lock);
    return rc;
}
