#include "settings/advice.h"

#include <string.h>

#include "tests/support/test.h"

#define MB UINT64_C(1000000)

/* A round each second, in which the downtime would be so many ms; the limit is 300. */
struct story {
    const char *label;
    uint64_t expected_ms[12]; /* ends with 0 */
    unsigned step_ms;         /* between two rounds; 0: a second */
    unsigned slows_until;     /* the guest is slowed down more in each round before this one */
    unsigned told_at;         /* the index of the round; 99: never */
};

#define NEVER 99

static const struct story stories[] = {
    {"it shrinks", {9000, 8000, 6000, 4000, 2000, 1000, 500, 310, 0}, 0, 0, NEVER},
    {"it does not", {4000, 4000, 4000, 4000, 4000, 0}, 0, 0, 2},
    {"it grows", {1000, 1500, 2500, 4000, 0}, 0, 0, 2},
    {"a little nearer is not nearer", {4000, 3900, 3850, 3800, 0}, 0, 0, 2},
    {"nearer in the end", {4000, 4000, 3000, 3000, 3000, 3000, 3000, 0}, 0, 0, 4},
    {"short rounds count together",
     {900, 900, 900, 900, 900, 900, 900, 900, 900, 900, 0},
     250,
     0,
     8},
    {"within the limit all the time", {300, 300, 300, 300, 300, 300, 0}, 0, 0, NEVER},
    {"within the limit once, and then not", {400, 400, 200, 400, 400, 0}, 0, 0, 4},
    {"a little above a small downtime", {310, 310, 310, 310, 0}, 0, 0, 2},
    {"nothing is known", {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, 0}, 0, 0, NEVER},
    {"it is still being slowed down", {4000, 4000, 4000, 4000, 4000, 4000, 4000, 4000, 0}, 0, 5, 7},
};

static struct advice_round round_of(const struct story *s, unsigned i)
{
    return (struct advice_round){
        .now_ms = 1000000 + i * (s->step_ms ? s->step_ms : 1000),
        .number = 2 + i,
        .written_bytes_per_s = 120 * MB,
        .moved_bytes_per_s = 100 * MB,
        .expected_downtime_ms = s->expected_ms[i],
        .downtime_limit_ms = 300,
        .slowed = MIN(i, s->slows_until),
    };
}

static void tells_once_when_it_is_clear(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(stories); k++) {
        const struct story *s = &stories[k];
        struct advice advice = {0};
        unsigned told_at = NEVER, n = 0;

        for (unsigned i = 0; s->expected_ms[i]; i++) {
            struct advice_round round = round_of(s, i);

            if (advice_feed(&advice, &round)) {
                told_at = i;
                n++;
            }
            CHECK(!advice_feed(&advice, &round), "%s: the same round counts twice", s->label);
        }
        CHECK(told_at == s->told_at && n == (told_at != NEVER) && advice.given == (n > 0),
              "%s: told at %u, %u times", s->label, told_at, n);
    }
}

/* The first round moves everything: it says nothing. */
static void the_first_round_says_nothing(void **state)
{
    struct advice advice = {0};
    struct advice_round round = round_of(&stories[1], 0);

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        round.number = 1;
        round.now_ms += 1000;
        CHECK(!advice_feed(&advice, &round), "told in the first round");
    }
}

static const struct words_case {
    unsigned set;
    const char *has[3], *lacks;
} words_cases[] = {
    {0,
     {"the guest writes 120 MB/s, 100 MB/s are moved", "stopped for 4.00 s, the limit is 300 ms",
      "what would help: auto-converge or dirty-limit, multifd-compression, a higher max-bandwidth, "
      "a downtime-limit of 4810ms"},
     "=="},
    {1 << ADVICE_SLOW | 1 << ADVICE_BANDWIDTH,
     {"what would help: multifd-compression, a downtime-limit of 4810ms"},
     "auto-converge"},
    {(1 << ADVICE_N) - 1, {"the limit is 300 ms"}, "what would help"},
};

static void says_what_would_help(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(words_cases); k++) {
        const struct words_case *c = &words_cases[k];
        struct advice advice = {0};
        char text[ADVICE_TEXT_LEN];

        for (unsigned i = 0; i < 4; i++) {
            struct advice_round round = round_of(&stories[1], i);

            round.set = c->set;
            (void)!advice_feed(&advice, &round);
        }
        CHECK(advice.given, "case %zu: not told", k);
        advice_text(&advice, advice_settings, text);
        for (size_t i = 0; i < ARRAY_LEN(c->has) && c->has[i]; i++)
            CHECK(strstr(text, c->has[i]), "case %zu: no '%s' in: %s", k, c->has[i], text);
        CHECK(!strstr(text, c->lacks), "case %zu: '%s' in: %s", k, c->lacks, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_once_when_it_is_clear),
        cmocka_unit_test(the_first_round_says_nothing),
        cmocka_unit_test(says_what_would_help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
