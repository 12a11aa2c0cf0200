#include "migration/source_pass.h"

#include "base/clock.h"
#include "stream/command.h"

/*
 * Returns when the destination has read all that was sent so far. What is in buffers on the way has
 * not arrived yet, and a path is only as fast as its end.
 */
static int round_trip(struct source *m, struct error *err)
{
    struct link *l = m->link;

    if (!m->plan.verdict)
        return 0;
    command_out_ping(&l->out, return_reader_ping(&l->return_reader));
    if (stream_out_flush(&l->out, err) < 0)
        return -1;
    return return_reader_await_pong(&l->return_reader, err);
}

/* Counts what remains to be sent from here on. Also called between two rounds, where a stopped
 * guest may wait for long. */
static void count_rest(struct source *m, const struct migration_snapshot *now)
{
    atomic_store(&m->stats.round_start_pages, now->normal + now->zero);
    atomic_store(&m->stats.round_pages, ram_round_dirty_pages(&m->round));
}

static void begin_round(struct source *m, struct migration_snapshot *ret)
{
    source_snapshot(m, ret);
    count_rest(m, ret);
    uint64_t pass = atomic_fetch_add(&m->stats.rounds, 1) + 1;
    if (pass > 1)
        observer_pass(&m->config.observer, pass);
}

/*
 * What a round has moved, measured like the rest: in whole pages. The first round's zero pages say
 * nothing about the pages that a guest writes: there the bytes on the wire count.
 */
static uint64_t round_bytes(struct source *m, const struct migration_snapshot *before)
{
    struct migration_snapshot now;

    source_snapshot(m, &now);
    if (now.rounds == 1)
        return now.wire_bytes - before->wire_bytes;
    return (now.normal + now.zero - before->normal - before->zero) * RAM_PAGE_SIZE;
}

int source_round(struct source *m, bool last, struct error *err)
{
    struct migration_snapshot before;
    uint64_t start = clock_ns();

    begin_round(m, &before);
    if (section_savers_out(&m->savers, last ? STREAM_SECTION_END : STREAM_SECTION_PART,
                           &m->link->out, err) < 0)
        return -1;
    if (last)
        return 0;
    if (round_trip(m, err) < 0)
        return -1;
    m->pace.sent_bytes = round_bytes(m, &before);
    m->pace.sent_ns = clock_ns() - start;
    downtime_estimate_round(&m->estimate, m->pace.sent_bytes, m->pace.sent_ns);
    return 0;
}

int source_sync(struct source *m, struct error *err)
{
    struct dirty_source *dirty = m->dirty;
    struct runtime_parameters live = source_parameters_now(m);
    struct migration_snapshot sent;
    uint64_t now = clock_ns(), pages = 0;

    if (dirty && dirty->ops->sync(dirty, m->round.dirty, &pages, err) < 0)
        return err_in(err, "dirty log");
    source_snapshot(m, &sent);
    count_rest(m, &sent);
    if (!m->stopped_ns && now > m->pace.synced_ns) /* only a guest that runs has a rate */
        atomic_store(&m->stats.dirty_pages_per_s, (uint64_t)((double)pages * (double)NS_PER_S /
                                                             (double)(now - m->pace.synced_ns)));
    m->pace.synced_ns = now;
    m->pace.written_bytes = pages * RAM_PAGE_SIZE;
    m->pace.rest_bytes = section_savers_pending(&m->savers);
    downtime_estimate_update(&m->estimate, &live);
    atomic_store(&m->stats.expected_downtime_ms,
                 downtime_estimate_ms(&m->estimate, m->pace.rest_bytes));
    return 0;
}
