/*
 * vmm/guest/dirtier.c: a guest that writes to its pages at a given rate, in a given pattern, and
 * knows what every page must hold.
 *
 * Each vCPU has pages of its own. The first of them are its ledger: a word per page, with the
 * page's generation. What a page holds follows from that (stamp.h). A page is verified before it is
 * written again; besides, a part of the time is for sweeps over all pages. A sweep also adds up the
 * ledger, which must count as many writes as were made: a ledger and pages that fit each other may
 * still be older than the guest's other state.
 */
#include "vmm/guest/program.h"
#include "vmm/guest/pulse.h"
#include "vmm/guest/stamp.h"

/* Writes that are late by more than so many slices are dropped. */
#define BACKLOG_SLICES 4

struct sweep {
    uint64_t began_at; /* TSC */
    uint64_t next;     /* page */
    uint64_t sum;      /* of the present generations of the pages before `next` */
};

struct dirtier {
    const struct guest_params *params; /* during a step only, as in pulse.h */
    struct pulse pulse;
    struct pen pen;
    uint64_t owner;
    uint64_t ledger;   /* its address */
    uint64_t first, n; /* pages that are written; they follow the ledger */

    uint64_t verified, written;
    uint64_t next_page;         /* where the pattern is sequential */
    uint64_t random;            /* the last number */
    uint64_t due, due_fraction; /* TSC of the next write, and the fraction of a tick in 1/256 */
    struct sweep sweep;
};

_Static_assert(sizeof(struct dirtier) <= GUEST_STATE_WORDS * sizeof(uint64_t), "more state");

/* --- one page -------------------------------------------------------------------------------- */

static uint64_t entry_of(const struct dirtier *d, uint64_t page)
{
    return d->ledger + page * sizeof(uint64_t);
}

static uint64_t generation(const struct dirtier *d, uint64_t page)
{
    return *guest_words(entry_of(d, page));
}

static struct stamp stamp_of(const struct dirtier *d, uint64_t page)
{
    return (struct stamp){d->first + page, generation(d, page), d->owner};
}

static void make_zero(uint64_t page)
{
    volatile uint64_t *words = guest_words(page << GUEST_PAGE_BITS);

    for (unsigned i = 0; i < GUEST_PAGE_WORDS; i++)
        words[i] = 0;
    guest_wrote(page << GUEST_PAGE_BITS);
}

/* Reports a wrong page once, and makes it right. */
static void verify_page(struct dirtier *d, uint64_t page)
{
    struct stamp s = stamp_of(d, page);

    d->verified++;
    if (stamp_verify(&d->pen, &s))
        return;
    make_zero(s.page);
    if (s.generation)
        stamp_write(&d->pen, &s);
}

static void write_page(struct dirtier *d, uint64_t page)
{
    verify_page(d, page);
    ++*guest_words(entry_of(d, page));
    guest_wrote(entry_of(d, page));
    d->written++;
    if (page < d->sweep.next)
        d->sweep.sum++;
    struct stamp s = stamp_of(d, page);
    stamp_write(&d->pen, &s);
}

/* --- which page, and when -------------------------------------------------------------------- */

/* A number below n; it is slightly biased, which does not matter here. */
static uint64_t random_below(struct dirtier *d, uint64_t n)
{
    d->random = guest_mix(d->random);
    return (uint64_t)((unsigned __int128)d->random * n >> 64);
}

static uint64_t hot_page(struct dirtier *d)
{
    uint64_t n_hot = d->n * d->params->hot_percent / 100;

    if (n_hot == 0 || n_hot == d->n)
        return random_below(d, d->n);
    if (random_below(d, 100) < d->params->hot_write_percent)
        return random_below(d, n_hot);
    return n_hot + random_below(d, d->n - n_hot);
}

static uint64_t choose_page(struct dirtier *d)
{
    if (d->params->pattern == GUEST_PATTERN_HOT)
        return hot_page(d);
    if (d->params->pattern == GUEST_PATTERN_RANDOM)
        return random_below(d, d->n);
    uint64_t page = d->next_page;
    d->next_page = page + 1 == d->n ? 0 : page + 1;
    return page;
}

static void plan_next(struct dirtier *d)
{
    d->due_fraction += d->params->ticks_per_page;
    d->due += d->due_fraction >> 8;
    d->due_fraction &= 0xff;
}

/* A vCPU that was paused, or slowed down, does not make up for missed writes. Nor does it wait
 * where the TSC has gone backwards. */
static void forget_backlog(struct dirtier *d, uint64_t now)
{
    uint64_t backlog = BACKLOG_SLICES * d->params->slice_ticks;
    uint64_t at_most = d->params->ticks_per_page >> 8;

    if (now > backlog && d->due < now - backlog)
        d->due = now - backlog;
    if (d->due > now && d->due - now > at_most + 1)
        d->due = now;
}

/* --- a slice of time ------------------------------------------------------------------------- */

static uint64_t beat(struct dirtier *d)
{
    uint64_t now = pulse_now(&d->pulse);

    pulse_beat(&d->pulse, now, d->verified, d->written);
    return now;
}

/* Writes what is due, until `end`; true if nothing is left. */
static bool write_until(struct dirtier *d, uint64_t end)
{
    uint64_t now = beat(d);

    forget_backlog(d, now);
    while (now < end && d->due <= now) {
        write_page(d, choose_page(d));
        plan_next(d);
        now = beat(d);
    }
    return d->due > now;
}

static void begin_sweep(struct dirtier *d, uint64_t now)
{
    d->sweep = (struct sweep){.began_at = now};
}

static void end_sweep(struct dirtier *d, uint64_t now)
{
    if (d->sweep.sum != d->written)
        guest_say(GUEST_PORT_WRONG_STATE, GUEST_STATE_LEDGER, d->sweep.sum, d->written);
    guest_say(GUEST_PORT_SWEPT, d->sweep.began_at, d->n, 0);
    begin_sweep(d, now);
}

static void sweep_until(struct dirtier *d, uint64_t end)
{
    for (uint64_t now = beat(d); now < end; now = beat(d)) {
        d->sweep.sum += generation(d, d->sweep.next);
        verify_page(d, d->sweep.next++);
        if (d->sweep.next == d->n)
            end_sweep(d, now);
    }
}

/* Writes come first, because the rate is a promise; then sweeps; the rest of a slice is a wait. */
static void work(struct dirtier *d)
{
    uint64_t slice = d->params->slice_ticks, for_sweep = slice * d->params->verify_percent / 100;
    uint64_t start = beat(d), end = start + slice;

    bool is_done = write_until(d, end - for_sweep);
    uint64_t swept_by = pulse_now(&d->pulse) + for_sweep;
    sweep_until(d, swept_by < end ? swept_by : end);
    while (is_done && beat(d) < end)
        pulse_wait(&d->pulse, end);
}

/* --- its life -------------------------------------------------------------------------------- */

static void choose_pen(struct dirtier *d)
{
    d->pen = (struct pen){d->params->write, d->params->fill};
    if (d->pen.write == GUEST_WRITE_AVX && !d->pulse.registers.has_avx2)
        d->pen.write = GUEST_WRITE_SSE;
    if (!d->pulse.registers.vector_bytes)
        d->pen.write = GUEST_WRITE_WORD;
    guest_say(GUEST_PORT_FACT, GUEST_FACT_WRITE, d->pen.write, 0);
}

/* The host has made sure that a page is left to write. */
static void lay_out(struct dirtier *d)
{
    const struct guest_params *p = d->params;
    uint64_t for_ledger = (p->working_pages * 8 + GUEST_PAGE_BYTES - 1) / GUEST_PAGE_BYTES;
    uint64_t left = p->n_pages - for_ledger;

    d->ledger = p->first_page << GUEST_PAGE_BITS;
    d->first = p->first_page + for_ledger;
    d->n = p->working_pages < left ? p->working_pages : left;
}

static void init(struct dirtier *d, const struct guest_params *params)
{
    d->params = params;
    pulse_init(&d->pulse, params);
    d->owner = guest_mix(params->seed ^ params->vcpu << 32);
    choose_pen(d);
    lay_out(d);
    d->verified = d->written = d->next_page = d->due_fraction = 0;
    d->random = d->owner;
    d->due = guest_ticks();
    begin_sweep(d, d->due);
}

static void detach(struct dirtier *d)
{
    d->params = NULL;
    pulse_attach(&d->pulse, NULL);
}

static void start(void *state, const struct guest_params *params)
{
    init(state, params);
    detach(state);
}

static void step(void *state, const struct guest_params *params)
{
    struct dirtier *d = state;

    d->params = params;
    pulse_attach(&d->pulse, params);
    work(d);
    detach(d);
}

const struct guest_program guest_program_dirtier = {"dirtier", start, step};
