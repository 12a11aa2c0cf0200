#include "vmm/guest_report.h"

#include <inttypes.h>

#include "base/clock.h"
#include "tests/support/test.h"

#define TSC_KHZ 2000000

/* Two vCPUs share pages 512 to 611. */
static void init(struct guest_report *r)
{
    guest_report_init(r);
    guest_report_set(r, 2, 512, 100, TSC_KHZ);
}

#define BEAT  GUEST_PORT_HEARTBEAT
#define WRONG GUEST_PORT_WRONG_PAGE
#define STATE GUEST_PORT_WRONG_STATE

static const struct message_case {
    const char *label;
    unsigned vcpu;
    uint16_t port;
    uint64_t words[GUEST_MESSAGE_WORDS];
    const char *refused; /* a part of the reason, or NULL where it must pass */
} message_cases[] = {
    {"the same again", 0, BEAT, {1000, 50, 40}, NULL},
    {"later, with more", 0, BEAT, {1001, 51, 41}, NULL},
    {"another vCPU's clock", 1, BEAT, {1, 0, 0}, NULL},
    {"a clock at its end", 0, BEAT, {UINT64_MAX, 50, 40}, NULL},
    {"as many pages as there can be", 0, BEAT, {1000, UINT64_C(1) << 56, 40}, NULL},
    {"a clock that goes back", 0, BEAT, {999, 50, 40}, "earlier than one at 1000"},
    {"fewer verified", 0, BEAT, {1000, 49, 40}, "49 pages verified"},
    {"fewer written", 0, BEAT, {1000, 50, 39}, "39 written"},
    {"too many verified", 0, BEAT, {1000, (UINT64_C(1) << 56) + 1, 40}, "pages verified"},
    {"too many written", 0, BEAT, {1000, 50, UINT64_MAX}, "written"},
    {"its first page", 0, WRONG, {512, 1, 2}, NULL},
    {"its last page", 0, WRONG, {561, 1, 2}, NULL},
    {"the other's last page", 1, WRONG, {611, 1, 2}, NULL},
    {"a page before its own", 0, WRONG, {511, 1, 2}, "page 511"},
    {"the other's first page", 0, WRONG, {562, 1, 2}, "50 pages from 512"},
    {"a page before the other's", 1, WRONG, {561, 1, 2}, "page 561"},
    {"a page behind all", 1, WRONG, {612, 1, 2}, "page 612"},
    {"no page at all", 0, WRONG, {UINT64_MAX, 1, 2}, "page 18446744073709551615"},
    {"a timer", 0, STATE, {GUEST_STATE_TIMER, 1, 2}, NULL},
    {"a register by its number", 0, STATE, {GUEST_STATE_OF(GUEST_STATE_GENERAL, 255), 1, 2}, NULL},
    {"no state", 0, STATE, {0, 1, 2}, "state 0x0"},
    {"a state behind the last", 0, STATE, {GUEST_STATE_COUNT, 1, 2}, "state 0x8"},
    {"more than a state", 0, STATE, {GUEST_STATE_TIMER | 0x10000, 1, 2}, "state 0x10005"},
    {"a fact behind the last", 0, GUEST_PORT_FACT, {GUEST_FACT_COUNT, 1}, "fact 2"},
    {"swept more than it has", 0, GUEST_PORT_SWEPT, {1000, 51}, "51 pages, expected at most 50"},
    {"a wait", 0, GUEST_PORT_WAIT, {1000}, "port 0x513"},
    {"nobody's port", 0, 0xe9, {0, 0, 0}, "port 0xe9"},
};

static void believes_what_can_be_true(void **state)
{
    static const uint64_t before[GUEST_MESSAGE_WORDS] = {1000, 50, 40};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(message_cases); i++) {
        const struct message_case *c = &message_cases[i];
        struct guest_verdict then, now;
        struct guest_report r;
        struct error err;

        init(&r);
        OK(guest_report_take(&r, 0, BEAT, before, &err), err, "the first heartbeat");
        guest_report_verdict(&r, &then);
        int rc = guest_report_take(&r, c->vcpu, c->port, c->words, &err);
        guest_report_verdict(&r, &now);
        if (c->refused) {
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
            CHECK(memcmp(&then, &now, sizeof(now)) == 0, "%s: has been counted", c->label);
        } else {
            OK(rc, err, c->label);
            CHECK(now.heartbeats + now.errors == 2, "%s: not counted", c->label);
        }
        guest_report_done(&r);
    }
}

/* The gap between beats of one vCPU, not of two; the first beat has no gap before it. */
static void measures_the_longest_gap(void **state)
{
    static const struct {
        unsigned vcpu;
        uint64_t tsc;
    } beats[] = {{0, 5000000}, {1, 99000000}, {0, 7000000}, {1, 102000000}, {0, 7500000}};
    struct guest_verdict verdict;
    struct guest_report r;
    struct error err;

    (void)state;
    init(&r);
    for (size_t i = 0; i < ARRAY_LEN(beats); i++) {
        const uint64_t words[GUEST_MESSAGE_WORDS] = {beats[i].tsc, i, 2 * i};

        OK(guest_report_take(&r, beats[i].vcpu, BEAT, words, &err), err, "heartbeat");
    }
    guest_report_verdict(&r, &verdict);
    CHECK(verdict.longest_gap_us == 1500, "%" PRIu64 " us, expected 1500", verdict.longest_gap_us);
    CHECK(verdict.heartbeats == 5 && verdict.pages_verified == 3 + 4 &&
              verdict.pages_written == 6 + 8,
          "other sums");
    guest_report_done(&r);
}

static void say(struct guest_report *r, unsigned vcpu, uint16_t port, uint64_t a, uint64_t b,
                uint64_t c)
{
    const uint64_t words[GUEST_MESSAGE_WORDS] = {a, b, c};
    struct error err;

    OK(guest_report_take(r, vcpu, port, words, &err), err, "message");
}

/* Heartbeats at 1 ms and 3 ms of vCPU 0, at 2 ms of vCPU 1, an error, a fact. */
static void init_moving(struct guest_report *r)
{
    init(r);
    say(r, 0, BEAT, 1 * TSC_KHZ, 10, 5);
    say(r, 0, BEAT, 3 * TSC_KHZ, 20, 15);
    say(r, 1, BEAT, 2 * TSC_KHZ, 7, 8);
    say(r, 1, STATE, GUEST_STATE_TIMER, 1, 2);
    say(r, 1, GUEST_PORT_FACT, GUEST_FACT_VECTOR, 32, 0);
}

static void goes_on_after_a_move(void **state)
{
    struct guest_report from, to;
    struct guest_report_state moving;
    struct guest_verdict v;
    struct error err;

    (void)state;
    init_moving(&from);
    guest_report_get_state(&from, &moving);
    init(&to);
    OK(guest_report_set_state(&to, &moving, &err), err, "state");
    guest_report_verdict(&to, &v);
    CHECK(v.heartbeats == 3 && v.pages_verified == 27 && v.pages_written == 23 && v.errors == 1 &&
              v.longest_gap_us == 2000 && v.moves == 1 && v.facts[GUEST_FACT_VECTOR] == 32,
          "other sums");
    say(&to, 0, BEAT, 33 * TSC_KHZ, 21, 16);
    guest_report_verdict(&to, &v);
    CHECK(v.last_move_gap_us == 0, "%" PRIu64 " us, but one is still silent", v.last_move_gap_us);
    say(&to, 1, BEAT, 27 * TSC_KHZ, 8, 9);
    say(&to, 0, BEAT, 133 * TSC_KHZ, 22, 17); /* a gap, but not the one of the move */
    guest_report_verdict(&to, &v);
    CHECK(v.last_move_gap_us == 30000 && v.longest_gap_us == 100000, "%" PRIu64 " and %" PRIu64,
          v.last_move_gap_us, v.longest_gap_us);

    /* And back: only the last move counts. */
    guest_report_get_state(&to, &moving);
    OK(guest_report_set_state(&from, &moving, &err), err, "state");
    say(&from, 0, BEAT, 134 * TSC_KHZ, 22, 17);
    say(&from, 1, BEAT, 28 * TSC_KHZ, 9, 9);
    guest_report_verdict(&from, &v);
    CHECK(v.moves == 2 && v.last_move_gap_us == 1000 && v.longest_gap_us == 100000, "%" PRIu64,
          v.last_move_gap_us);
    guest_report_done(&from);
    guest_report_done(&to);
}

/* The host's clock was set back: this is an error in the guest's report, not the guest's end. */
static void notices_a_clock_set_back(void **state)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    struct guest_report_state moving;
    char text[GUEST_WRONG_TEXT];
    struct guest_report r;
    struct error err;

    (void)state;
    init_moving(&r);
    guest_report_get_state(&r, &moving);
    guest_report_done(&r);
    init(&r);
    OK(guest_report_set_state(&r, &moving, &err), err, "state");
    say(&r, 0, BEAT, 17, 20, 15);
    say(&r, 0, BEAT, 18, 20, 15);
    CHECK(guest_report_wrong(&r, wrong) == 1 && wrong[0].state == GUEST_STATE_TSC, "not told");
    guest_report_describe(&wrong[0], text, sizeof(text));
    CHECK(strstr(text, "TSC 0: found 0x0000000000000011, expected 0x00000000005b8d80 (vCPU 0)"),
          "%s", text);
    guest_report_done(&r);
}

static const struct state_case {
    const char *label;
    size_t offset; /* of a 64-bit member */
    uint64_t value;
    const char *refused;
} state_cases[] = {
#define MEMBER(m) offsetof(struct guest_report_state, m)
    {"as it is", MEMBER(n_vcpus), 2, NULL},
    {"one vCPU", MEMBER(n_vcpus), 1, "of 1 vCPUs, expected 2"},
    {"many vCPUs", MEMBER(n_vcpus), UINT64_C(1) << 32 | 2, "expected 2"},
    {"shared by two", MEMBER(shared), 2, "shared is 2"},
    {"ended twice", MEMBER(ended), 2, "ended is 2"},
    {"any gap", MEMBER(longest_gap_us), UINT64_MAX, NULL},
    {"too many errors", MEMBER(errors), UINT64_MAX, "errors"},
    {"too many moves", MEMBER(moves), UINT64_MAX, "moves"},
    {"too many heartbeats", MEMBER(voices[1].heartbeats), UINT64_MAX, "vCPU 1"},
    {"too many verified", MEMBER(voices[0].verified), UINT64_MAX, "vCPU 0"},
    {"too many written", MEMBER(voices[0].written), UINT64_MAX, "vCPU 0"},
    {"pages without a heartbeat", MEMBER(voices[0].heartbeats), 0, "no heartbeat"},
    {"any TSC", MEMBER(voices[0].tsc), UINT64_MAX, NULL},
#undef MEMBER
};

static void believes_a_state_that_can_be(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(state_cases); i++) {
        const struct state_case *c = &state_cases[i];
        struct guest_report_state moving;
        struct guest_report from, to;
        struct guest_verdict v;
        struct error err;

        init_moving(&from);
        guest_report_get_state(&from, &moving);
        memcpy((char *)&moving + c->offset, &c->value, sizeof(c->value));
        init(&to);
        int rc = guest_report_set_state(&to, &moving, &err);
        guest_report_verdict(&to, &v);
        if (c->refused) {
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
            CHECK(v.heartbeats == 0 && v.moves == 0, "%s: taken all the same", c->label);
        } else {
            OK(rc, err, c->label);
        }
        guest_report_done(&from);
        guest_report_done(&to);
    }
}

/* Sweeps that began before a move do not count as sweeps after it. */
static void counts_sweeps_behind_a_move(void **state)
{
    struct guest_report_state moving;
    struct guest_report r;
    struct error err;

    (void)state;
    init(&r);
    say(&r, 0, BEAT, 1000, 0, 0);
    say(&r, 1, BEAT, 1000, 0, 0);
    say(&r, 0, GUEST_PORT_SWEPT, 500, 50, 0);
    CHECK(!guest_report_wait_swept(&r, 1, clock_ns()), "one of two has not");
    say(&r, 1, GUEST_PORT_SWEPT, 500, 50, 0);
    CHECK(guest_report_wait_swept(&r, 1, DEADLINE_NEVER), "both have");
    guest_report_get_state(&r, &moving);
    OK(guest_report_set_state(&r, &moving, &err), err, "state");
    say(&r, 0, GUEST_PORT_SWEPT, 1500, 50, 0);
    for (unsigned vcpu = 0; vcpu < 2; vcpu++) {
        say(&r, vcpu, BEAT, 2000, 0, 0);
        say(&r, vcpu, GUEST_PORT_SWEPT, 1999, 50, 0);
    }
    CHECK(!guest_report_wait_swept(&r, 1, clock_ns()), "they began before");
    say(&r, 0, GUEST_PORT_SWEPT, 2000, 50, 0);
    say(&r, 1, GUEST_PORT_SWEPT, 2001, 50, 0);
    CHECK(guest_report_wait_swept(&r, 1, DEADLINE_NEVER), "both have, again");
    guest_report_done(&r);
}

/* A user's own guest may report any page, here and after a move. */
static void shares_all_pages(void **state)
{
    struct guest_report_state moving;
    struct guest_report from, to;
    struct guest_verdict v;
    struct error err;

    (void)state;
    init(&from);
    guest_report_share(&from);
    say(&from, 1, WRONG, 0, 1, 2);
    guest_report_get_state(&from, &moving);
    init(&to);
    OK(guest_report_set_state(&to, &moving, &err), err, "state");
    say(&to, 0, WRONG, 611, 1, 2);
    guest_report_verdict(&to, &v);
    CHECK(v.shared && v.errors == 2, "%" PRIu64 " errors", v.errors);
    const uint64_t behind[GUEST_MESSAGE_WORDS] = {612, 1, 2};
    check_refused("behind all", guest_report_take(&to, 0, WRONG, behind, &err), &err, ERR_PEER,
                  "page 612, expected 612 pages from 0");
    guest_report_done(&from);
    guest_report_done(&to);
}

static void takes_the_guests_own_end(void **state)
{
    struct guest_report r;
    struct error err;
    uint64_t code = 7;

    (void)state;
    init(&r);
    CHECK(!guest_report_ended(&r, &code) && code == 7, "it has not ended");
    say(&r, 1, GUEST_PORT_EXIT, 3, 0, 0);
    say(&r, 0, GUEST_PORT_EXIT, 4, 0, 0);
    CHECK(!guest_report_wait(&r, 1, 0, DEADLINE_NEVER), "it says no more");
    CHECK(guest_report_ended(&r, &code) && code == 3, "code %" PRIu64, code);
    err_set(&err, ERR_PEER, "what stands behind the end is no code");
    guest_report_fail(&r, &err);
    OK(guest_report_failure(&r, &err), err, "failed after its end");
    guest_report_done(&r);
}

/* A guest that ends during a move has also ended at the destination. */
static void takes_the_end_along(void **state)
{
    struct guest_report_state moving;
    struct guest_report from, to;
    struct error err;
    uint64_t code = 7;

    (void)state;
    init(&from);
    init(&to);
    say(&from, 0, GUEST_PORT_EXIT, UINT64_MAX, 0, 0);
    guest_report_get_state(&from, &moving);
    OK(guest_report_set_state(&to, &moving, &err), err, "state");
    CHECK(!guest_report_wait(&to, 1, 0, DEADLINE_NEVER), "it says no more");
    CHECK(guest_report_ended(&to, &code) && code == UINT64_MAX, "code %" PRIu64, code);
    guest_report_done(&from);
    guest_report_done(&to);
}

/* However many wrong pages a guest reports: the first ones are kept, and all are counted. */
static void keeps_the_first_wrong_pages(void **state)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    struct guest_verdict verdict;
    struct guest_report r;
    struct error err;

    (void)state;
    init(&r);
    for (uint64_t i = 0; i < 1000; i++) {
        const uint64_t words[GUEST_MESSAGE_WORDS] = {562 + i % 50, i, i + 1};

        OK(guest_report_take(&r, 1, WRONG, words, &err), err, "wrong page");
    }
    size_t n = guest_report_wrong(&r, wrong);
    guest_report_verdict(&r, &verdict);
    CHECK(n == GUEST_WRONG_KEPT && verdict.errors == 1000, "%zu kept", n);
    for (size_t i = 0; i < n; i++)
        CHECK(wrong[i].vcpu == 1 && wrong[i].page == 562 + i && wrong[i].found == i &&
                  wrong[i].expected == i + 1,
              "wrong page %zu", i);
    guest_report_done(&r);
}

static void ends_every_wait(void **state)
{
    static const uint64_t words[GUEST_MESSAGE_WORDS] = {1000, 0, 0};
    struct error first, second, found;
    struct guest_report r;

    (void)state;
    init(&r);
    CHECK(!guest_report_wait(&r, 1, 0, clock_ns()), "nothing was said");
    OK(guest_report_take(&r, 0, BEAT, words, &found), found, "heartbeat");
    CHECK(!guest_report_wait(&r, 1, 0, clock_ns()), "one of two has said nothing");
    OK(guest_report_take(&r, 1, BEAT, words, &found), found, "heartbeat");
    CHECK(guest_report_wait(&r, 1, 0, DEADLINE_NEVER), "both have said it");
    OK(guest_report_failure(&r, &found), found, "no failure");
    err_set(&first, ERR_PEER, "first");
    err_set(&second, ERR_PEER, "second");
    guest_report_fail(&r, &first);
    guest_report_fail(&r, &second);
    CHECK(!guest_report_wait(&r, 2, 0, DEADLINE_NEVER), "it has failed");
    check_refused("failure", guest_report_failure(&r, &found), &found, ERR_PEER, "first");
    guest_report_done(&r);

    init(&r);
    guest_report_interrupt(&r);
    CHECK(!guest_report_wait(&r, 1, 0, DEADLINE_NEVER), "it was interrupted");
    guest_report_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(believes_what_can_be_true),
        cmocka_unit_test(measures_the_longest_gap),
        cmocka_unit_test(keeps_the_first_wrong_pages),
        cmocka_unit_test(ends_every_wait),
        cmocka_unit_test(goes_on_after_a_move),
        cmocka_unit_test(notices_a_clock_set_back),
        cmocka_unit_test(believes_a_state_that_can_be),
        cmocka_unit_test(counts_sweeps_behind_a_move),
        cmocka_unit_test(shares_all_pages),
        cmocka_unit_test(takes_the_guests_own_end),
        cmocka_unit_test(takes_the_end_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
