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
    {"a clock that goes back", 0, BEAT, {999, 50, 40}, "behind one at 1000"},
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

/* Of one vCPU, not from one to another; its first has no gap before it. */
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

/* However many a guest tells of, the first are kept and all are counted. */
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
