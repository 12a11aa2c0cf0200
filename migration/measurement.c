#include "migration/measurement.h"

#include "base/clock.h"
#include "base/macros.h"

#define WINDOW_NS  (100 * NS_PER_MS) /* a look at the rate: QEMU sends in ten bursts a second */
#define SETTLED_NS NS_PER_S

/* A place is the block's number and the page's: places have the order in which a source sends. */
#define PLACE_PAGE_BITS 36
#define NO_PLACE        UINT64_MAX

int measurement_init(struct measurement *m, uint64_t downtime_limit_ms, struct error *err)
{
    *m = (struct measurement){.downtime_limit_ms = downtime_limit_ms};
    atomic_store(&m->lowest, NO_PLACE);
    return page_samples_init(&m->samples, err);
}

void measurement_done(struct measurement *m)
{
    page_samples_done(&m->samples);
}

/* --- what comes ------------------------------------------------------------------------------ */

static void note_lowest(_Atomic uint64_t *at, uint64_t place)
{
    uint64_t seen = atomic_load_explicit(at, memory_order_relaxed);

    while (place < seen && !atomic_compare_exchange_weak(at, &seen, place))
        ;
}

static void note_highest(_Atomic uint64_t *at, uint64_t place)
{
    uint64_t seen = atomic_load_explicit(at, memory_order_relaxed);

    while (place > seen && !atomic_compare_exchange_weak(at, &seen, place))
        ;
}

void measurement_pages(struct measurement *m, size_t block, uint64_t offset, const uint8_t *bytes,
                       size_t len)
{
    uint64_t place = (uint64_t)block << PLACE_PAGE_BITS | offset >> RAM_PAGE_BITS;

    note_lowest(&m->lowest, place);
    note_highest(&m->highest, place + len / RAM_PAGE_SIZE - 1);
    page_samples_offer(&m->samples, bytes, len);
    atomic_fetch_add_explicit(&m->bytes, len, memory_order_relaxed);
}

/* --- rounds ---------------------------------------------------------------------------------- */

void measurement_begin(struct measurement *m)
{
    m->begun_ns = m->round_ns = m->window_ns = clock_ns();
}

static void look_at_rate(struct measurement *m, uint64_t now, uint64_t bytes)
{
    if (now - m->window_ns < WINDOW_NS)
        return;
    double rate =
        (double)(bytes - m->window_bytes) * (double)NS_PER_S / (double)(now - m->window_ns);

    m->peak_bytes_per_s = MAX(m->peak_bytes_per_s, (uint64_t)rate);
    m->window_ns = now;
    m->window_bytes = bytes;
}

/* After the section in which a round has ended, it is not known how far the next one has come. */
static bool went_back(struct measurement *m)
{
    uint64_t low = atomic_exchange(&m->lowest, NO_PLACE), high = atomic_exchange(&m->highest, 0);

    if (low == NO_PLACE) {
        m->empty_sections++;
        return m->empty_sections > 1; /* one may be empty because of a limit of the rate */
    }
    bool back = m->reached && low <= m->reached;
    m->empty_sections = 0;
    m->reached = back ? 0 : high;
    return back;
}

static bool fits(const struct measurement *m, uint64_t bytes)
{
    return (double)bytes * 1000 <=
           (double)measurement_bytes_per_s(m) * (double)m->downtime_limit_ms;
}

/* A round that found nothing to send only makes the one before it longer: QEMU ends some twice. */
static void note_round(struct measurement *m, uint64_t ns, uint64_t bytes)
{
    bool merged = m->n_rounds > 0 && bytes == 0;

    m->last = merged ? (struct measured_round){.ns = m->last.ns + ns, .bytes = m->last.bytes}
                     : (struct measured_round){.ns = ns, .bytes = bytes};
    m->n_rounds += !merged;
    if (m->n_rounds <= MEASURED_ROUNDS_MAX)
        m->rounds[m->n_rounds - 1] = m->last;
}

static void end_round(struct measurement *m, uint64_t now, uint64_t bytes)
{
    note_round(m, now - m->round_ns, bytes - m->round_bytes);
    m->round_ns = now;
    m->round_bytes = bytes;
    if (!fits(m, m->last.bytes))
        m->short_since_ns = 0;
    else if (m->short_since_ns == 0)
        m->short_since_ns = now;
}

bool measurement_section(struct measurement *m, enum measured_by by, bool word)
{
    uint64_t now = clock_ns(), bytes = atomic_load(&m->bytes);
    bool ended = word;

    look_at_rate(m, now, bytes);
    if (!word && by != MEASURED_BY_WORDS)
        ended = went_back(m) || by == MEASURED_BY_PARTS;
    if (ended)
        end_round(m, now, bytes);
    return ended;
}

bool measurement_is_settled(const struct measurement *m)
{
    return m->short_since_ns && clock_ns() - m->short_since_ns >= SETTLED_NS;
}

void measurement_end(struct measurement *m, enum measured_end end)
{
    m->end = end;
    m->ended_ns = clock_ns();
}

/* --- afterwards ------------------------------------------------------------------------------ */

uint64_t measurement_ns(const struct measurement *m)
{
    uint64_t end = m->ended_ns ? m->ended_ns : clock_ns();

    return m->begun_ns ? end - m->begun_ns : 0;
}

static double per_s(uint64_t bytes, uint64_t ns)
{
    return ns ? (double)bytes * (double)NS_PER_S / (double)ns : 0;
}

uint64_t measurement_bytes_per_s(const struct measurement *m)
{
    uint64_t whole = (uint64_t)per_s(atomic_load(&m->bytes), measurement_ns(m));

    return MAX(m->peak_bytes_per_s, whole);
}

uint64_t measurement_dirty_bytes_per_s(const struct measurement *m)
{
    size_t n = MIN(m->n_rounds, (size_t)MEASURED_ROUNDS_MAX);
    uint64_t bytes = 0, ns = 0;

    if (m->end == MEASURED_TOLD)
        return m->told.dirty_bytes_per_s;
    for (size_t i = 1; i < n; i++) { /* a round sends what was written during the one before */
        bytes += m->rounds[i].bytes;
        ns += m->rounds[i - 1].ns;
    }
    return (uint64_t)per_s(bytes, ns);
}

/* What was written during the last round; or is sent again and again in short rounds; or, in the
 * first round, what had not come yet. */
static double rest_bytes(const struct measurement *m, uint64_t unseen_bytes)
{
    double written =
        (double)measurement_dirty_bytes_per_s(m) * (double)m->last.ns / (double)NS_PER_S;

    if (m->n_rounds == 0)
        return (double)unseen_bytes;
    return m->end == MEASURED_SETTLED ? (double)m->last.bytes : written;
}

bool measurement_tells_downtime(const struct measurement *m)
{
    return m->end == MEASURED_TOLD || m->end == MEASURED_SETTLED ||
           (m->end == MEASURED_STOPPED && m->n_rounds != 1);
}

uint64_t measurement_downtime_us(const struct measurement *m, uint64_t unseen_bytes)
{
    double rate = (double)measurement_bytes_per_s(m);

    if (m->end == MEASURED_TOLD)
        return m->told.expected_downtime_us;
    return rate > 0 ? (uint64_t)(rest_bytes(m, unseen_bytes) * 1e6 / rate) : 0;
}
