#include "settings/advice.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/units.h"

#define ROUNDS_ENOUGH 2
#define MS_ENOUGH     2000

/* A round is better if it is so much nearer; less may be chance. */
#define BETTER_PERCENT 90

advice_words advice_settings = {
    [ADVICE_SLOW] = "auto-converge or dirty-limit",
    [ADVICE_COMPRESS] = "multifd-compression",
    [ADVICE_BANDWIDTH] = "a higher max-bandwidth",
    [ADVICE_DOWNTIME] = "a downtime-limit of",
};

/* A fifth more than what would be needed now, in steps of 10 ms. */
static uint64_t enough(uint64_t expected_ms)
{
    return (expected_ms + expected_ms / 5) / 10 * 10 + 10;
}

static void start_again(struct advice *a, const struct advice_round *r)
{
    a->best_ms = r->expected_downtime_ms;
    a->best_at_ms = r->now_ms;
    a->n_not_better = 0;
}

static void give(struct advice *a, const struct advice_round *r)
{
    a->given = true;
    a->written_bytes_per_s = r->written_bytes_per_s;
    a->moved_bytes_per_s = r->moved_bytes_per_s;
    a->expected_downtime_ms = r->expected_downtime_ms;
    a->downtime_limit_ms = r->downtime_limit_ms;
    a->helps = ~r->set & ((1U << ADVICE_N) - 1);
    a->enough_ms = enough(r->expected_downtime_ms);
}

/* Nothing is known yet, or nothing is wrong. */
static bool is_fine(const struct advice_round *r)
{
    return r->expected_downtime_ms == UINT64_MAX || r->moved_bytes_per_s == 0 ||
           r->expected_downtime_ms <= r->downtime_limit_ms;
}

bool advice_feed(struct advice *a, const struct advice_round *r)
{
    bool first = a->number == 0;

    if (a->given || r->number < 2 || r->number == a->number)
        return false;
    a->number = r->number;
    if (first || is_fine(r) || r->slowed != a->slowed ||
        r->expected_downtime_ms * 100 < a->best_ms * BETTER_PERCENT) {
        a->slowed = r->slowed;
        start_again(a, r);
        return false;
    }
    a->n_not_better++;
    if (a->n_not_better < ROUNDS_ENOUGH || r->now_ms - a->best_at_ms < MS_ENOUGH)
        return false;
    give(a, r);
    return true;
}

/* --- in words -------------------------------------------------------------------------------- */

static void PRINTF(2, 3) add(char text[static ADVICE_TEXT_LEN], const char *fmt, ...)
{
    size_t len = strlen(text);
    va_list args;

    va_start(args, fmt);
    vsnprintf(text + len, ADVICE_TEXT_LEN - len, fmt, args);
    va_end(args);
}

const char *advice_text(const struct advice *a, advice_words words,
                        char ret[static ADVICE_TEXT_LEN])
{
    char written[UNIT_TEXT_LEN], moved[UNIT_TEXT_LEN], rest[UNIT_TEXT_LEN], limit[UNIT_TEXT_LEN];
    const char *between = "; what would help: ";

    ret[0] = 0;
    add(ret,
        "the rounds do not shrink: the guest writes %s, %s are moved; it would be stopped for %s"
        ", the limit is %s",
        rate_text(a->written_bytes_per_s, written), rate_text(a->moved_bytes_per_s, moved),
        time_text(a->expected_downtime_ms, rest), time_text(a->downtime_limit_ms, limit));
    for (int i = 0; i < ADVICE_N; i++) {
        if (!(a->helps & 1U << i))
            continue;
        add(ret, "%s%s", between, words[i]);
        if (i == ADVICE_DOWNTIME)
            add(ret, " %llums", (unsigned long long)a->enough_ms);
        between = ", ";
    }
    return ret;
}
