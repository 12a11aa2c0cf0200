#include "migration/outgoing_inside.h"

#include "base/clock.h"
#include "ram/resident.h"
#include "stream/command.h"

/* While only that is missing, rounds are no more frequent than this. */
#define ACK_ROUND_MS 100

/*
 * Returns when the destination has read all that was sent so far: what lies in buffers on the way
 * is not moved yet, and a path is only as fast as its end.
 */
static int round_trip(struct outgoing *m, struct error *err)
{
    if (!m->plan.verdict)
        return 0;
    command_out_ping(&m->out, answers_ping(&m->answers));
    if (stream_out_flush(&m->out, err) < 0)
        return -1;
    return answers_await_pong(&m->answers, err);
}

/* From here on this is what remains: also between two rounds, where the guest may wait for long. */
static void count_rest(struct outgoing *m, const struct migration_snapshot *now)
{
    atomic_store(&m->stats.round_start_pages, now->normal + now->zero);
    atomic_store(&m->stats.round_pages, ram_round_dirty_pages(&m->round));
}

static void begin_round(struct outgoing *m, struct migration_snapshot *ret)
{
    outgoing_stats(m, ret);
    count_rest(m, ret);
    uint64_t pass = atomic_fetch_add(&m->stats.rounds, 1) + 1;
    if (pass > 1)
        observer_pass(&m->config.observer, pass);
}

/*
 * What a round moved, in the measure that the rest is counted in: whole pages. The first round's
 * zero pages say nothing of the pages that a guest writes: there it is the bytes on the wire.
 */
static uint64_t round_bytes(struct outgoing *m, const struct migration_snapshot *before)
{
    struct migration_snapshot now;

    outgoing_stats(m, &now);
    if (now.rounds == 1)
        return now.wire_bytes - before->wire_bytes;
    return (now.normal + now.zero - before->normal - before->zero) * RAM_PAGE_SIZE;
}

/*
 * With x-ignore-shared a destination that has no machine tells the blocks that are left out by
 * nothing coming of them: so something comes of every other, if only that its first page is zero.
 */
static void say_something(const struct outgoing *m, struct dirty_bitmap *dirty)
{
    if (m->plan.marks_blocks)
        dirty_bitmap_set(dirty, 0);
}

/*
 * What the first round sends: all that exists. The rest is zero, and a destination's memory is so
 * to begin with; where zero pages travel on the main stream, its rules are to clear them, and it
 * is told.
 */
static int mark_first_round(struct outgoing *m, struct error *err)
{
    for (size_t i = 0; i < m->ram.n; i++) {
        struct dirty_bitmap *dirty = &m->round.dirty[i];

        if (m->ram.blocks[i].travel != RAM_TRAVELS)
            continue;
        if (ram_resident(&m->ram.blocks[i], dirty, err) < 0)
            return -1;
        say_something(m, dirty);
        for (uint64_t w = 0; m->round.zeros && w < dirty_bitmap_words(dirty); w++) {
            uint64_t bits = atomic_load_explicit(&dirty->words[w], memory_order_relaxed);
            unsigned n = dirty_bitmap_merge(&m->round.zeros[i], w, ~bits);

            atomic_fetch_add_explicit(&m->counters.zero, n, memory_order_relaxed);
        }
    }
    return 0;
}

int outgoing_round(struct outgoing *m, bool last, struct error *err)
{
    struct migration_snapshot before;
    uint64_t start = clock_ns();

    begin_round(m, &before);
    if (ram_save_round(&m->save, &m->round, last, err) < 0)
        return -1;
    if (last)
        return 0;
    if (round_trip(m, err) < 0)
        return -1;
    m->sent_bytes = round_bytes(m, &before);
    m->sent_ns = clock_ns() - start;
    pace_round(&m->pace, m->sent_bytes, m->sent_ns);
    return 0;
}

/* Moves what the guest wrote into the next round. */
int outgoing_sync(struct outgoing *m, struct error *err)
{
    struct dirty_source *dirty = m->dirty;
    struct outgoing_live live = outgoing_live_now(m);
    struct migration_snapshot sent;
    uint64_t now = clock_ns(), pages = 0;

    if (dirty && dirty->ops->sync(dirty, m->round.dirty, &pages, err) < 0)
        return err_in(err, "dirty log");
    outgoing_stats(m, &sent);
    count_rest(m, &sent);
    if (!m->stopped_ns && now > m->synced_ns) /* the rate of a guest that runs */
        atomic_store(&m->stats.dirty_pages_per_s,
                     (uint64_t)((double)pages * (double)NS_PER_S / (double)(now - m->synced_ns)));
    m->synced_ns = now;
    m->written_bytes = pages * RAM_PAGE_SIZE;
    m->rest_bytes = ram_round_dirty_pages(&m->round) * RAM_PAGE_SIZE;
    pace_update(&m->pace, &live);
    atomic_store(&m->stats.expected_downtime_ms, pace_expected_ms(&m->pace, m->rest_bytes));
    return 0;
}

/* Slows the guest down where the round that is over says so. */
static void converge(struct outgoing *m)
{
    struct outgoing_live live = outgoing_live_now(m);

    converge_round(&m->converge, &live, m->written_bytes, m->sent_bytes, m->sent_ns);
    outgoing_tell_converge(m);
}

/*
 * Nothing but the destination's word is missing: waits for it a little while before the next round.
 * A destination that says nothing of it, most likely because the capability is off there, is not
 * waited for without end.
 */
static int await_ack(struct outgoing *m, struct error *err)
{
    uint64_t stall_ms = m->config.connect.stall_timeout_ms, now = clock_ns();

    if (m->ready_ns == 0)
        m->ready_ns = now;
    if (stall_ms && now - m->ready_ns > stall_ms * NS_PER_MS)
        return err_set(err, ERR_PEER,
                       "switchover-ack: for %.1f s nothing but the destination's word has been "
                       "missing; is the capability on there, too?",
                       (double)stall_ms / 1000);
    return answers_await_ack(&m->answers, deadline_in_ms(ACK_ROUND_MS), err);
}

/* *ret: it is time to stop the guest. */
static int decide(struct outgoing *m, bool *ret, struct error *err)
{
    *ret = pace_time_to_stop(&m->pace, m->rest_bytes);
    if (!*ret || !m->plan.ack || answers_acked(&m->answers))
        return 0;
    *ret = false; /* also where it comes while we wait: the guest goes on writing meanwhile */
    return await_ack(m, err);
}

int outgoing_rounds(struct outgoing *m, struct error *err)
{
    struct dirty_source *dirty = m->dirty;
    bool stop = false;

    if (dirty && dirty->ops->start(dirty, err) < 0)
        return err_in(err, "dirty log");
    m->synced_ns = clock_ns();
    if (mark_first_round(m, err) < 0)
        return -1;
    while (!stop) {
        if (outgoing_round(m, false, err) < 0 || outgoing_sync(m, err) < 0 ||
            decide(m, &stop, err) < 0)
            return -1;
        if (!stop)
            converge(m);
    }
    return 0;
}
