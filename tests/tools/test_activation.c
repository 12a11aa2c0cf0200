#include "tools/activation.h"

#include "tests/support/test.h"

#define US 4711

static const struct good {
    const char *label;
    struct activation a;
    const char *address;
    size_t n;
    int first, last;
} goods[] = {
    {"one socket", {"4711", "1", NULL}, "systemd:", 1, 3, 3},
    {"all of three", {"4711", "3", "a:b:c"}, "systemd:", 3, 3, 5},
    {"by name", {"4711", "3", "a:b:c"}, "systemd:b", 1, 4, 4},
    {"two of one name", {"4711", "4", "x:in:in:y"}, "systemd:in", 2, 4, 5},
    {"the last one", {"4711", "3", "a:b:c"}, "systemd:c", 1, 5, 5},
    {"an empty name before it", {"4711", "2", ":b"}, "systemd:b", 1, 4, 4},
    {"fewer names than sockets", {"4711", "3", "a"}, "systemd:a", 1, 3, 3},
    {"more names than sockets", {"4711", "1", "a:b"}, "systemd:a", 1, 3, 3},
};

static void sockets_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(goods); i++) {
        const struct good *g = &goods[i];
        int fds[LISTENER_MAX];
        struct error err;
        size_t n;

        OK(activation_find(&g->a, US, g->address, fds, &n, &err), err, g->label);
        CHECK(n == g->n && fds[0] == g->first && fds[n - 1] == g->last, "%s: %zu from %d to %d",
              g->label, n, fds[0], fds[n - 1]);
    }
}

static const struct bad {
    const char *label;
    struct activation a;
    const char *address, *refused;
} bads[] = {
    {"nothing is set", {NULL, NULL, NULL}, "systemd:", "no socket was handed over"},
    {"no number", {"4711", NULL, NULL}, "systemd:", "no socket was handed over"},
    {"no sockets", {"4711", "0", NULL}, "systemd:", "no socket was handed over"},
    {"for our parent", {"1", "1", NULL}, "systemd:", "for another process"},
    {"a pid that is none", {"us", "1", NULL}, "systemd:", "LISTEN_PID"},
    {"a negative pid", {"-4711", "1", NULL}, "systemd:", "LISTEN_PID"},
    {"a number that is none", {"4711", "1x", NULL}, "systemd:", "LISTEN_FDS"},
    {"a negative number", {"4711", "-1", NULL}, "systemd:", "LISTEN_FDS"},
    {"a huge number", {"4711", "99999999999999999999", NULL}, "systemd:", "LISTEN_FDS"},
    {"too many", {"4711", "1000", NULL}, "systemd:", "more than 16"},
    {"another name", {"4711", "2", "a:b"}, "systemd:c", "'a:b'"},
    {"a part of a name", {"4711", "1", "abc"}, "systemd:ab", "'abc'"},
    {"a name without names", {"4711", "1", NULL}, "systemd:a", "expected one of the names"},
    {"a name beyond the sockets", {"4711", "1", "a:b"}, "systemd:b", "'a:b'"},
};

static void others_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
        const struct bad *b = &bads[i];
        int fds[LISTENER_MAX];
        struct error err;
        size_t n;

        check_refused(b->label, activation_find(&b->a, US, b->address, fds, &n, &err), &err,
                      ERR_USAGE, b->refused);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_are_found),
        cmocka_unit_test(others_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
