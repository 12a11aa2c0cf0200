#include "migration/destination_measure.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "migration/measurement.h"

/*
 * From the refusal until the connections are cut, if the source has not closed them. A source may
 * go on sending until it is cut, with its guest stopped; but cut at once it may see that before the
 * refusal, and give it as its reason. Where the guest runs there is no hurry: a QEMU 10.0 that is
 * cut while it waits for its channels waits for ever, and cannot be migrated any more.
 */
#define GRACE_STOPPED_MS 20
#define GRACE_RUNNING_MS 5000

int destination_measure_begin(struct destination *m, struct error *err)
{
    if (!m->origin->ops->has_peer)
        return err_set(err, ERR_USAGE, "a file is not a live guest: there is nothing to measure");
    if (!return_writer_are_open(&m->return_writer))
        return err_set(err, ERR_PEER,
                       "the source has asked for no return path: it cannot be told that its guest "
                       "is refused, and would take the guest for moved; set return-path on there");
    measurement_begin(m->config.measurement);
    return 0;
}

/* Fails: the migration is not loaded any further. */
static int reached(struct destination *m, enum measured_end end, struct error *err)
{
    measurement_end(m->config.measurement, end);
    return err_set(err, ERR_CANCELLED, "measured");
}

static enum measured_by rounds_by(const struct destination *m)
{
    if (m->stream.confirmed) /* a ramjet: a part for each round */
        return MEASURED_BY_PARTS;
    return m->per_section ? MEASURED_BY_PLACES : MEASURED_BY_WORDS;
}

int destination_measure_section(struct destination *m, const struct ram_load *load, bool word,
                                struct error *err)
{
    struct measurement *seen = m->config.measurement;

    enum measured_by by = rounds_by(m);

    if (load->section != STREAM_SECTION_PART || (word && by != MEASURED_BY_WORDS))
        return 0;
    if (measurement_section(seen, by, word) && m->per_section)
        atomic_fetch_add(&m->stats.rounds, 1); /* on_barrier() counts the others */
    return measurement_is_settled(seen) ? reached(m, MEASURED_SETTLED, err) : 0;
}

int destination_measure_stopped(struct destination *m, struct error *err)
{
    return m->ram.n > 0 ? reached(m, MEASURED_STOPPED, err) : 0; /* else the stream is wrong */
}

int destination_measure_told(struct destination *m, const struct command *c, struct error *err)
{
    struct reader r = reader_of(c->payload, c->len);
    struct measured_at_source *told = &m->config.measurement->told;

    told->rest_bytes = get_u64(&r);
    told->expected_downtime_us = get_u64(&r);
    told->dirty_bytes_per_s = get_u64(&r);
    told->rounds = get_u64(&r);
    return reached(m, MEASURED_TOLD, err);
}

bool destination_is_measured(const struct destination *m)
{
    return m->config.measurement && m->config.measurement->end != MEASURED_NOT;
}

/* Until the source closes, for a short time: bytes that nobody reads would make the kernel send a
 * reset, which may overtake the refusal. */
static void drain(struct destination *m)
{
    bool stopped = m->config.measurement->end == MEASURED_STOPPED;
    uint64_t grace_ms = stopped ? GRACE_STOPPED_MS : GRACE_RUNNING_MS;
    uint64_t end = deadline_in_ms(grace_ms);
    size_t len;

    atomic_store(&m->main->may_rest, false);
    atomic_store(&m->main->stall_timeout_ms, grace_ms);
    while (clock_ns() < end && stream_in_peek(&m->in, 1, &len))
        in_skip(&m->in, len);
}

void destination_measure_refuse(struct destination *m)
{
    struct error ignored, measured;

    (void)!return_writer_send(&m->return_writer, RETURN_SHUT, ECANCELED, &ignored);
    drain(m);
    err_set(&measured, ERR_CANCELLED, "measured");
    channel_group_fail(&m->group, &measured); /* ends the channels, wherever they wait */
}
