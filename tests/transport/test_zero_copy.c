/* Tests the counting, without a socket; test_engine.c has real error queues. */
#include "transport/zero_copy.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/test.h"

static const struct range_case {
    const char *label;
    uint32_t lent, first, last;
    bool copied;
    int n; /* -1: refused */
} range_cases[] = {
    {"one", 1, 0, 0, false, 1},
    {"one, copied", 1, 0, 0, true, 1},
    {"several, coalesced", 10, 3, 7, true, 5},
    {"across the wrap", 10, UINT32_MAX - 1, 1, true, 4},
    {"up to the wrap", 10, UINT32_MAX, UINT32_MAX, false, 1},
    {"from the wrap on", 10, 0, 9, false, 10},
    {"more than were lent", 4, 0, 4, false, -1},
    {"none were lent", 0, 5, 5, true, -1},
    {"all numbers there are", UINT32_MAX, 0, UINT32_MAX, false, -1},
    {"backwards", 100, 7, 3, false, -1},
};

static void counts_ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(range_cases); i++) {
        const struct range_case *c = &range_cases[i];
        struct zero_copy z = {.lent = c->lent, .copied = 100};
        int n = zero_copy_returned(&z, c->first, c->last, c->copied);

        CHECK(n == c->n, "%s: %d, expected %d", c->label, n, c->n);
        if (n == -1) {
            CHECK(errno == EPROTO && z.lent == c->lent && z.copied == 100, "%s: changed", c->label);
            continue;
        }
        uint32_t count = c->last - c->first + 1;
        CHECK(z.lent == c->lent - count, "%s: %u lent", c->label, z.lent);
        CHECK(z.copied == 100 + (c->copied ? count : 0), "%s: copied", c->label);
    }
}

/* In whatever order completions come: at the end no page is still borrowed. */
static void counts_in_any_order(void **state)
{
    static const uint32_t ranges[][2] = {
        {4, 4}, {UINT32_MAX, 0}, {5, 9}, {UINT32_MAX - 5, UINT32_MAX - 1}, {1, 3},
    };
    struct zero_copy z = {.lent = 16};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
        CHECK(zero_copy_returned(&z, ranges[i][0], ranges[i][1], i % 2) > 0, "range %zu", i);
    CHECK(z.lent == 0 && z.copied == 7, "%u lent, %lu copied", z.lent, (unsigned long)z.copied);
}

static void says_what_a_socket_cannot(void **state)
{
    struct error err;
    int fds[2];

    (void)state;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
    check_refused("AF_UNIX", zero_copy_enable(fds[0], &err), &err, ERR_USAGE, "or use tcp");
    close(fds[1]);
    close(fds[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_ranges),
        cmocka_unit_test(counts_in_any_order),
        cmocka_unit_test(says_what_a_socket_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
