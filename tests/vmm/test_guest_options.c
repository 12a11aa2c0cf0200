#include "vmm/guest_options.h"

#include <inttypes.h>

#include "tests/support/test.h"

#define TSC_KHZ 2000000

static const struct guest_machine machine = {2, TSC_KHZ, 1};

/* The value that the first of two vCPUs, with 1000 pages, gets. */
static const struct told_case {
    const char *text;
    size_t offset; /* in struct guest_params */
    uint64_t expected;
} told_cases[] = {
#define P(member) offsetof(struct guest_params, member)
    {"counter", P(first_page), 512},
    {"counter", P(n_pages), 1000},
    {"counter", P(heartbeat_ticks), TSC_KHZ},
    {"counter", P(timer_count), 0},
    {"dirtier", P(pattern), GUEST_PATTERN_RANDOM},
    {"dirtier", P(write), GUEST_WRITE_AVX},
    {"dirtier", P(fill), GUEST_FILL_PAGE},
    {"dirtier", P(working_pages), 1000},
    {"dirtier", P(timer_count), 10000000},
    {"dirtier", P(timer_ticks), UINT64_C(10) * TSC_KHZ},
    {"dirtier", P(ticks_per_page), UINT64_C(2000000000) * 256 / 12800},
    {"dirtier,rate=8192", P(ticks_per_page), UINT64_C(2000000000) * 256},
    {"dirtier,rate=1T", P(ticks_per_page), 3814},
    {"dirtier,rate=0", P(ticks_per_page), 0},
    {"dirtier,pattern=hot,hot=5,hot-writes=80", P(pattern), GUEST_PATTERN_HOT},
    {"dirtier,pattern=hot,hot=5,hot-writes=80", P(hot_percent), 5},
    {"dirtier,pattern=hot,hot=5,hot-writes=80", P(hot_write_percent), 80},
    {"dirtier,pattern=sequential", P(pattern), GUEST_PATTERN_SEQUENTIAL},
    {"dirtier,working-set=1M", P(working_pages), 128},
    {"dirtier,working-set=1", P(working_pages), 1},
    {"dirtier,working-set=1T", P(working_pages), 1000},
    {"dirtier,seed=18446744073709551615", P(seed), UINT64_MAX},
    {"dirtier,write=word", P(write), GUEST_WRITE_WORD},
    {"dirtier,write=sse", P(write), GUEST_WRITE_SSE},
    {"dirtier,fill=lines", P(fill), GUEST_FILL_LINES},
    {"dirtier,verify=50", P(verify_percent), 50},
    {"dirtier,timer=off", P(timer_count), 0},
    {"dirtier,timer=1", P(timer_count), 1000000},
    {"idle,timer=1s", P(timer_count), 1000000000},
    {"idle,seed=3,seed=4", P(seed), 4},
#undef P
};

static void tells_the_guest(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(told_cases); i++) {
        const struct told_case *c = &told_cases[i];
        struct guest_options options;
        struct guest_params params;
        struct error err;
        uint64_t found;

        OK(guest_options_parse(c->text, &options, &err), err, c->text);
        CHECK(strncmp(c->text, options.image->name, strlen(options.image->name)) == 0, "%s is %s",
              c->text, options.image->name);
        guest_options_params(&options, &machine, 0, 512, 1000, &params);
        memcpy(&found, (char *)&params + c->offset, sizeof(found));
        CHECK(found == c->expected, "%s: %" PRIu64 ", expected %" PRIu64, c->text, found,
              c->expected);
    }
}

static const struct {
    const char *text, *refused;
} refused_cases[] = {
    {"", "'': expected one of counter, dirtier, idle"},
    {"sheep", "'sheep': expected one of counter, dirtier, idle"},
    {",rate=1", "expected one of counter"},
    {"counter,rate=1", "guest counter takes no options, got 'rate'"},
    {"dirtier,", "expected one of rate, pattern, hot, hot-writes, working-set, seed, write, fill"},
    {"dirtier,speed=1", "'speed': expected one of rate"},
    {"idle,rate=1", "expected one of seed, timer"},
    {"dirtier,rate", "expected rate=VALUE"},
    {"dirtier,rate=", "guest dirtier, rate: ''"},
    {"dirtier,rate=fast", "'fast': expected a rate"},
    {"dirtier,rate=2T", "'2T': expected 0 to"},
    {"dirtier,pattern=zigzag", "'zigzag': expected one of sequential, random, hot"},
    {"dirtier,pattern=1", "expected one of sequential"},
    {"dirtier,write=mmx", "expected one of word, sse, avx"},
    {"dirtier,fill=half", "expected one of lines, page"},
    {"dirtier,hot=0", "expected 1 to 99"},
    {"dirtier,hot=100", "expected 1 to 99"},
    {"dirtier,hot-writes=101", "expected 0 to 100"},
    {"dirtier,verify=0", "expected 1 to 90"},
    {"dirtier,seed=-1", "expected a number"},
    {"dirtier,working-set=lots", "expected a size"},
    {"dirtier,timer=0", "expected 1 to 1000"},
    {"dirtier,timer=2s", "expected 1 to 1000"},
    {"dirtier,timer=on", "expected a time"},
};

static void refuses(void **state)
{
    char text[1024];
    struct guest_options options;
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused_cases); i++)
        check_refused(refused_cases[i].text,
                      guest_options_parse(refused_cases[i].text, &options, &err), &err, ERR_USAGE,
                      refused_cases[i].refused);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    check_refused("a long one", guest_options_parse(text, &options, &err), &err, ERR_USAGE,
                  "less than 256 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_guest),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
