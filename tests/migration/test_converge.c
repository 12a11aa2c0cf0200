/* Tests the decisions, with a machine that only records its orders. */
#include "migration/converge.h"

#include "base/clock.h"
#include "tests/support/test.h"

#define MI UINT64_C(1048576)

struct fake {
    struct machine base;
    unsigned percent, n_calls;
    uint64_t limit;
};

static void on_throttle(struct machine *m, unsigned percent)
{
    ((struct fake *)m)->percent = percent;
    ((struct fake *)m)->n_calls++;
}

static void on_limit(struct machine *m, uint64_t bytes_per_s)
{
    ((struct fake *)m)->limit = bytes_per_s;
    ((struct fake *)m)->n_calls++;
}

static const struct machine_ops able = {.throttle = on_throttle, .limit_dirty = on_limit};
static const struct machine_ops unable = {0};

static const struct runtime_parameters standard = {.throttle_trigger_percent = 50,
                                                   .throttle_initial_percent = 20,
                                                   .throttle_increment_percent = 10,
                                                   .throttle_max_percent = 99,
                                                   .vcpu_dirty_bytes_per_s = MI};

/* Rounds of 1 s that sent 100 MiB: what the guest wrote, and the share of time that is taken
 * then. */
static const struct steps_case {
    const char *label;
    struct {
        unsigned written_mi, want;
    } rounds[12];
    unsigned initial, increment, max, trigger;
    bool tailslow;
} steps_cases[] = {
    {"well below", {{10, 0}, {10, 0}, {10, 0}, {10, 0}}, 20, 10, 99, 50, false},
    {"just allowed", {{50, 0}, {50, 0}, {50, 0}, {50, 0}}, 20, 10, 99, 50, false},
    {"twice over",
     {{51, 0}, {51, 20}, {51, 20}, {51, 30}, {51, 30}, {51, 40}},
     20,
     10,
     99,
     50,
     false},
    {"once is a burst", {{90, 0}, {10, 0}, {90, 0}, {10, 0}, {90, 0}}, 20, 10, 99, 50, false},
    {"it helps", {{90, 0}, {90, 20}, {40, 20}, {40, 20}, {40, 20}}, 20, 10, 99, 50, false},
    {"up to the most",
     {{90, 0}, {90, 60}, {90, 60}, {90, 70}, {90, 70}, {90, 75}, {90, 75}, {90, 75}},
     60,
     10,
     75,
     50,
     false},
    {"another trigger", {{10, 0}, {10, 20}}, 20, 10, 99, 5, false},
    {"all of it", {{100, 0}, {100, 0}, {101, 0}, {101, 20}}, 20, 10, 99, 100, false},
    /* The vCPUs have 80 % of their time and write 55 where 50 are allowed: 72.7 %
     * would do, 7.2 less. */
    {"slow at the tail", {{90, 0}, {90, 20}, {55, 20}, {55, 27}}, 20, 10, 99, 50, true},
    {"slow, but far off", {{90, 0}, {90, 20}, {90, 20}, {90, 30}}, 20, 10, 99, 50, true},
    {"slow, and hardly over", {{90, 0}, {90, 90}, {51, 90}, {51, 91}}, 90, 10, 99, 50, true},
};

static void takes_time_by_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(steps_cases); i++) {
        const struct steps_case *c = &steps_cases[i];
        struct runtime_parameters live = {.throttle_trigger_percent = c->trigger,
                                          .throttle_initial_percent = c->initial,
                                          .throttle_increment_percent = c->increment,
                                          .throttle_max_percent = c->max,
                                          .throttle_tailslow = c->tailslow};
        struct fake fake = {.base.ops = &able};
        struct converge converge;
        struct error err;

        OK(converge_init(&converge, CONVERGE_THROTTLE, &fake.base, &err), err, c->label);
        for (size_t k = 0; k < ARRAY_LEN(c->rounds) && c->rounds[k].written_mi; k++) {
            converge_round(&converge, &live, c->rounds[k].written_mi * MI, 100 * MI, NS_PER_S);
            CHECK(fake.percent == c->rounds[k].want && converge.percent == fake.percent,
                  "%s: round %zu: %u %%, expected %u", c->label, k, fake.percent,
                  c->rounds[k].want);
        }
        converge_end(&converge);
        CHECK(fake.percent == 0 && converge.percent == 0, "%s: %u %% at the end", c->label,
              fake.percent);
        CHECK(fake.limit == 0, "%s: a limit, too", c->label);
    }
}

static void limits_each_vcpu(void **state)
{
    struct runtime_parameters live = standard;
    struct fake fake = {.base.ops = &able};
    struct converge converge;
    struct error err;

    (void)state;
    OK(converge_init(&converge, CONVERGE_LIMIT, &fake.base, &err), err, "init");
    converge_round(&converge, &live, 90 * MI, 100 * MI, NS_PER_S);
    assert_int_equal(fake.limit, 0);
    converge_round(&converge, &live, 90 * MI, 100 * MI, NS_PER_S);
    assert_int_equal(fake.limit, MI);
    live.vcpu_dirty_bytes_per_s = 5 * MI; /* the limit may change during a migration, */
    converge_round(&converge, &live, 1 * MI, 100 * MI, NS_PER_S);
    assert_int_equal(fake.limit, 5 * MI);
    assert_int_equal(converge.vcpu_bytes_per_s, 5 * MI);
    converge_end(&converge);
    converge_end(&converge);
    assert_int_equal(fake.limit, 0);
    CHECK(fake.n_calls == 3 && fake.percent == 0, "%u calls", fake.n_calls);
}

/* Many rounds in a short time are one check. */
static void short_rounds_count_together(void **state)
{
    struct fake fake = {.base.ops = &able};
    struct converge converge;
    struct error err;

    (void)state;
    OK(converge_init(&converge, CONVERGE_THROTTLE, &fake.base, &err), err, "init");
    for (int i = 0; i < 19; i++)
        converge_round(&converge, &standard, 90 * MI, 100 * MI, 10 * NS_PER_MS);
    assert_int_equal(fake.percent, 0);
    converge_round(&converge, &standard, 90 * MI, 100 * MI, 10 * NS_PER_MS);
    assert_int_equal(fake.percent, 20);
}

static void follows_a_lower_most(void **state)
{
    struct runtime_parameters live = standard;
    struct fake fake = {.base.ops = &able};
    struct converge converge;
    struct error err;

    (void)state;
    OK(converge_init(&converge, CONVERGE_THROTTLE, &fake.base, &err), err, "init");
    for (int i = 0; i < 6; i++)
        converge_round(&converge, &live, 90 * MI, 100 * MI, NS_PER_S);
    assert_int_equal(fake.percent, 40);
    live.throttle_max_percent = 25;
    converge_round(&converge, &live, 1 * MI, 100 * MI, NS_PER_S);
    assert_int_equal(fake.percent, 25);
}

static const struct able_case {
    const char *label;
    enum converge_by by;
    const struct machine_ops *ops;
    const char *says;
} able_cases[] = {
    {"nothing asked", CONVERGE_NOT, &unable, NULL},
    {"throttle", CONVERGE_THROTTLE, &able, NULL},
    {"limit", CONVERGE_LIMIT, &able, NULL},
    {"no throttle", CONVERGE_THROTTLE, &unable, "auto-converge: nothing can take time"},
    {"no limit", CONVERGE_LIMIT, &unable, "dirty-limit: nothing can limit"},
};

static void wants_a_machine_that_can(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(able_cases); i++) {
        const struct able_case *c = &able_cases[i];
        struct fake fake = {.base.ops = c->ops};
        struct converge converge;
        struct error err = {0};
        int rc = converge_init(&converge, c->by, &fake.base, &err);

        CHECK((rc == 0) == !c->says, "%s: rc %d", c->label, rc);
        CHECK(!c->says || (err.kind == ERR_USAGE && strstr(err.text, c->says)), "%s: %s", c->label,
              err.text);
        if (rc == 0 && c->by == CONVERGE_NOT) {
            for (int k = 0; k < 4; k++)
                converge_round(&converge, &standard, 90 * MI, 100 * MI, NS_PER_S);
            converge_end(&converge);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_time_by_steps),         cmocka_unit_test(limits_each_vcpu),
        cmocka_unit_test(short_rounds_count_together), cmocka_unit_test(follows_a_lower_most),
        cmocka_unit_test(wants_a_machine_that_can),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
