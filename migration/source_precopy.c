#include "migration/source_precopy.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "migration/source_guest.h"
#include "migration/source_pass.h"
#include "ram/resident.h"
#include "stream/command.h"

/* While only the destination's ack is missing, rounds are at least this far apart. */
#define ACK_ROUND_MS 100

/*
 * With x-ignore-shared, a destination without a machine takes a block to be left out if nothing
 * comes for it. So something is sent for every other block, if only that its first page is zero.
 */
static void say_something(const struct source *m, struct dirty_bitmap *dirty)
{
    if (m->plan.marks_blocks)
        dirty_bitmap_set(dirty, 0);
}

/*
 * Marks what the first round sends: all pages that exist. The rest is zero, and so is a
 * destination's memory at first. Where zero pages travel on the main stream, its rules demand that
 * they are cleared, so the destination is told of them.
 */
static int mark_first_round(struct source *m, struct error *err)
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

            atomic_fetch_add_explicit(&m->stats.absent_pages, n, memory_order_relaxed);
        }
    }
    return 0;
}

/* Slows the guest down if the last round calls for it. */
static void converge(struct source *m)
{
    struct runtime_parameters live = source_parameters_now(m);

    converge_round(&m->converge, &live, m->pace.written_bytes, m->pace.sent_bytes, m->pace.sent_ns);
    source_tell_converge(m);
}

/* What is in force already, or does not exist here: nobody needs to be told of that. */
static unsigned what_is_set(const struct source *m, const struct runtime_parameters *live)
{
    const struct machine_ops *ops = m->machine->ops;
    bool slows = m->converge.by != CONVERGE_NOT || (!ops->throttle && !ops->limit_dirty);
    bool packs = m->config.method != CODEC_NONE || m->plan.pages != PAGES_ON_CHANNELS;

    return (unsigned)slows << ADVICE_SLOW | (unsigned)packs << ADVICE_COMPRESS |
           (unsigned)(live->max_bytes_per_s == 0) << ADVICE_BANDWIDTH;
}

/* Tells, once, if the rounds do not shrink. */
static void advise(struct source *m)
{
    struct runtime_parameters live = source_parameters_now(m);
    struct advice next = m->advice;
    const struct advice_round round = {
        .now_ms = m->pace.synced_ns / NS_PER_MS,
        .number = atomic_load(&m->stats.rounds) + 1,
        .written_bytes_per_s = atomic_load(&m->stats.dirty_pages_per_s) * RAM_PAGE_SIZE,
        .moved_bytes_per_s = (uint64_t)m->estimate.bytes_per_s,
        .expected_downtime_ms = atomic_load(&m->stats.expected_downtime_ms),
        .downtime_limit_ms = live.downtime_limit_ms,
        .slowed = m->converge.percent + m->converge.vcpu_bytes_per_s,
        .set = what_is_set(m, &live),
    };
    bool told = advice_feed(&next, &round);

    pthread_mutex_lock(&m->lock);
    m->advice = next;
    pthread_mutex_unlock(&m->lock);
    if (told)
        observer_advice(&m->config.observer, &next);
}

/*
 * Only the destination's ack is missing, since *ready_ns (0: since now): waits for it a little
 * while before the next round. Fails after the stall timeout: a destination that never sends the
 * ack most likely has the capability off.
 */
static int await_ack(struct source *m, uint64_t *ready_ns, struct error *err)
{
    uint64_t stall_ms = m->config.connect.stall_timeout_ms, now = clock_ns();

    if (*ready_ns == 0)
        *ready_ns = now;
    if (stall_ms && now - *ready_ns > stall_ms * NS_PER_MS)
        return err_set(err, ERR_PEER,
                       "switchover-ack: the destination has not sent it for %.1f s; is the "
                       "capability on there, too?",
                       (double)stall_ms / 1000);
    return return_reader_await_ack(&m->link->return_reader, deadline_in_ms(ACK_ROUND_MS), err);
}

/*
 * The destination only measures, and it is time to stop the guest: tells it so, with what we know
 * better, and ends with its refusal. The guest does not notice.
 */
static int end_measured(struct source *m, struct error *err)
{
    uint8_t payload[COMMAND_MEASURED_LEN];
    struct writer w = writer_of(payload, sizeof(payload));
    struct runtime_parameters live = source_parameters_now(m);
    uint64_t ms = downtime_estimate_ms(&m->estimate, m->pace.rest_bytes);

    put_u64(&w, m->pace.rest_bytes);
    put_u64(&w, (ms == UINT64_MAX ? live.downtime_limit_ms : ms) * 1000);
    put_u64(&w, atomic_load(&m->stats.dirty_pages_per_s) * RAM_PAGE_SIZE);
    put_u64(&w, atomic_load(&m->stats.rounds));
    command_out(&m->link->out, COMMAND_SWITCHOVER_MEASURED, payload, sizeof(payload));
    if (stream_out_flush(&m->link->out, err) < 0 ||
        return_reader_await_verdict(&m->link->return_reader, &m->link->hurry, err) < 0)
        return -1;
    return err_set(err, ERR_PEER, "return path: SHUT 0 from a destination that only measures");
}

/* *ret: it is time to stop the guest. *ready_ns: as in await_ack(). */
static int decide(struct source *m, uint64_t *ready_ns, bool *ret, struct error *err)
{
    *ret = downtime_estimate_allows_stop(&m->estimate, m->pace.rest_bytes);
    if (*ret && m->plan.verdict && return_reader_measures(&m->link->return_reader))
        return end_measured(m, err);
    if (!*ret || !m->plan.ack || return_reader_acked(&m->link->return_reader))
        return 0;
    *ret = false; /* also where the ack comes during the wait: the guest has written meanwhile */
    return await_ack(m, ready_ns, err);
}

int source_precopy(struct source *m, struct error *err)
{
    struct dirty_source *dirty = m->dirty;
    uint64_t ready_ns = 0;
    bool stop = false;

    if (m->plan.still && source_stop_guest(m, err) < 0)
        return -1;
    if (dirty && dirty->ops->start(dirty, err) < 0)
        return err_in(err, "dirty log");
    m->pace.synced_ns = clock_ns();
    if (mark_first_round(m, err) < 0)
        return -1;
    for (;;) {
        if (source_round(m, false, err) < 0 || source_sync(m, err) < 0 ||
            decide(m, &ready_ns, &stop, err) < 0)
            return -1;
        if (stop)
            break;
        advise(m);
        converge(m);
    }
    return source_stop_guest(m, err);
}
