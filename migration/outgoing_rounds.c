#include "migration/outgoing_inside.h"

#include "base/clock.h"
#include "ram/resident.h"
#include "stream/command.h"

/*
 * Returns when the destination has read all that was sent so far: what lies in buffers on the way
 * is not moved yet, and a path is only as fast as its end.
 */
static int round_trip(struct outgoing *m, struct error *err)
{
    if (!m->config.return_path)
        return 0;
    command_out_ping(&m->out, ++m->ping);
    if (stream_out_flush(&m->out, err) < 0)
        return -1;
    return answers_await_pong(&m->answers, m->ping, err);
}

static void begin_round(struct outgoing *m, struct migration_snapshot *ret)
{
    outgoing_stats(m, ret);
    atomic_store(&m->stats.round_start_pages, ret->normal + ret->zero);
    atomic_store(&m->stats.round_pages, ram_round_dirty_pages(&m->round));
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
 * What the first round sends: all that exists. The rest is zero, and a destination's memory is so
 * to begin with; where zero pages travel on the main stream, its rules are to clear them, and it
 * is told.
 */
static int mark_first_round(struct outgoing *m, struct error *err)
{
    for (size_t i = 0; i < m->machine->ram.n; i++) {
        struct dirty_bitmap *dirty = &m->round.dirty[i];

        if (ram_resident(&m->machine->ram.blocks[i], dirty, err) < 0)
            return -1;
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
    pace_round(&m->pace, round_bytes(m, &before), clock_ns() - start);
    return 0;
}

/* Moves what the guest wrote into the next round. */
int outgoing_sync(struct outgoing *m, struct error *err)
{
    struct dirty_source *dirty = m->machine->dirty;
    struct outgoing_live live = outgoing_live_now(m);
    uint64_t now = clock_ns(), pages = 0;

    if (dirty && dirty->ops->sync(dirty, m->round.dirty, &pages, err) < 0)
        return err_in(err, "dirty log");
    if (now > m->synced_ns)
        atomic_store(&m->stats.dirty_pages_per_s,
                     (uint64_t)((double)pages * (double)NS_PER_S / (double)(now - m->synced_ns)));
    m->synced_ns = now;
    m->rest_bytes = ram_round_dirty_pages(&m->round) * RAM_PAGE_SIZE;
    m->pace.downtime_limit_ms = live.downtime_limit_ms;
    m->pace.switchover_bytes_per_s = live.switchover_bytes_per_s;
    atomic_store(&m->stats.expected_downtime_ms, pace_expected_ms(&m->pace, m->rest_bytes));
    return 0;
}

int outgoing_rounds(struct outgoing *m, struct error *err)
{
    struct dirty_source *dirty = m->machine->dirty;

    if (dirty && dirty->ops->start(dirty, err) < 0)
        return err_in(err, "dirty log");
    m->synced_ns = clock_ns();
    if (mark_first_round(m, err) < 0)
        return -1;
    do {
        if (outgoing_round(m, false, err) < 0 || outgoing_sync(m, err) < 0)
            return -1;
    } while (!pace_time_to_stop(&m->pace, m->rest_bytes));
    return 0;
}
