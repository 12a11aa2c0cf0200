#include "base/buf.h"
#include "tests/support/test.h"

static void grows_and_keeps(void **state)
{
    struct buf b = {0};
    struct error err;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        uint8_t byte = (uint8_t)(i * 7);

        OK(buf_append(&b, &byte, 1, &err), err, "append");
    }
    CHECK(b.len == 10000, "%zu bytes, expected 10000", b.len);
    for (unsigned i = 0; i < 10000; i++)
        CHECK(b.data[i] == (uint8_t)(i * 7), "byte %u differs", i);
    buf_done(&b);
    CHECK(!b.data && b.len == 0, "done leaves something");
}

static void nothing_appended(void **state)
{
    struct buf b = {0};
    struct error err;

    (void)state;
    OK(buf_append(&b, NULL, 0, &err), err, "empty append");
    CHECK(b.len == 0, "%zu bytes of nothing", b.len);
    buf_done(&b);
}

static const struct limit_case {
    const char *label;
    size_t limit, have, more;
    bool fits;
} limit_cases[] = {
    {"below", 10, 4, 5, true},           {"to the byte", 10, 4, 6, true},
    {"one over", 10, 4, 7, false},       {"full, one more", 10, 10, 1, false},
    {"full, nothing", 10, 10, 0, true},  {"far over", 10, 0, 4096, false},
    {"no limit at all", 0, 4, 90, true},
};

static void holds_the_limit(void **state)
{
    static const char bytes[4096];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(limit_cases); i++) {
        const struct limit_case *c = &limit_cases[i];
        struct buf b = {.limit = c->limit};
        struct error err;

        OK(buf_append(&b, bytes, c->have, &err), err, c->label);
        int rc = buf_append(&b, bytes, c->more, &err);
        if (c->fits)
            OK(rc, err, c->label);
        else
            check_refused(c->label, rc, &err, ERR_PEER, "more than 10 bytes");
        CHECK(b.len == c->have + (c->fits ? c->more : 0), "%s: %zu bytes", c->label, b.len);
        buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps),
        cmocka_unit_test(nothing_appended),
        cmocka_unit_test(holds_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
