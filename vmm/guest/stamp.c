#include "vmm/guest/stamp.h"

#include "vmm/guest/fill.h"

#define STAMP_WORDS 4
#define LINE_WORDS  8

/* n filled words from `first` on. Both are multiples of 4 words, the width of the widest store. */
struct run {
    unsigned first, n;
};

static const struct run line_runs[] = {
    {STAMP_WORDS, LINE_WORDS - STAMP_WORDS},
    {21 * LINE_WORDS, LINE_WORDS},
    {42 * LINE_WORDS, LINE_WORDS},
    {63 * LINE_WORDS, LINE_WORDS},
};
static const struct run page_runs[] = {{STAMP_WORDS, GUEST_PAGE_WORDS - STAMP_WORDS}};

struct runs {
    const struct run *at;
    unsigned n;
};

static struct runs runs_of(const struct pen *pen)
{
    if (pen->fill == GUEST_FILL_PAGE)
        return (struct runs){page_runs, sizeof(page_runs) / sizeof(page_runs[0])};
    return (struct runs){line_runs, sizeof(line_runs) / sizeof(line_runs[0])};
}

static uint64_t start_of(const struct stamp *s)
{
    return guest_mix(guest_mix(s->page ^ s->owner) + s->generation);
}

/* The sum of words first … first + n - 1. */
static uint64_t sum_of_run(uint64_t start, struct run run)
{
    uint64_t indices = (uint64_t)run.n * (2 * run.first + run.n - 1) / 2;

    return run.n * start + indices * FILL_STEP;
}

static uint64_t sum_of(const struct pen *pen, const struct stamp *s)
{
    struct runs runs = runs_of(pen);
    uint64_t start = start_of(s), sum = 0;

    for (unsigned i = 0; i < runs.n; i++)
        sum += sum_of_run(start, runs.at[i]);
    return sum;
}

/* --- writing --------------------------------------------------------------------------------- */

void stamp_write(const struct pen *pen, const struct stamp *s)
{
    volatile uint64_t *words = guest_words(s->page << GUEST_PAGE_BITS);
    struct runs runs = runs_of(pen);
    uint64_t start = start_of(s);

    words[0] = s->page;
    words[1] = s->generation;
    words[2] = sum_of(pen, s);
    words[3] = s->owner;
    for (unsigned i = 0; i < runs.n; i++)
        fill_words(pen->write, words + runs.at[i].first, start + runs.at[i].first * FILL_STEP,
                   runs.at[i].n);
    guest_wrote(s->page << GUEST_PAGE_BITS);
}

/* --- verifying ------------------------------------------------------------------------------- */

static bool is_right(const struct stamp *s, uint64_t found, uint64_t expected)
{
    if (found != expected)
        guest_say(GUEST_PORT_WRONG_PAGE, s->page, found, expected);
    return found == expected;
}

/* With start and step 0 the words must be zeros. */
static bool verify_run(const struct stamp *s, uint64_t start, uint64_t step, struct run run)
{
    volatile uint64_t *words = guest_words(s->page << GUEST_PAGE_BITS) + run.first;
    uint64_t expected = start + run.first * step;

    for (unsigned i = 0; i < run.n; i++, expected += step) {
        if (!is_right(s, words[i], expected))
            return false;
    }
    return true;
}

static bool verify_stamp(const struct pen *pen, const struct stamp *s)
{
    volatile uint64_t *words = guest_words(s->page << GUEST_PAGE_BITS);

    return is_right(s, words[0], s->page) && is_right(s, words[1], s->generation) &&
           is_right(s, words[2], sum_of(pen, s)) && is_right(s, words[3], s->owner);
}

bool stamp_verify(const struct pen *pen, const struct stamp *s)
{
    static const struct run stamp_words = {0, STAMP_WORDS};
    uint64_t start = s->generation ? start_of(s) : 0, step = s->generation ? FILL_STEP : 0;
    struct runs runs = runs_of(pen);

    if (s->generation ? !verify_stamp(pen, s) : !verify_run(s, 0, 0, stamp_words))
        return false;
    for (unsigned i = 0; i < runs.n; i++) {
        if (!verify_run(s, start, step, runs.at[i]))
            return false;
    }
    return true;
}
