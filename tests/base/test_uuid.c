#include "base/uuid.h"
#include "tests/support/test.h"

static const struct parse_case {
    const char *label, *text;
    bool good;
} parse_cases[] = {
    {"plain", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", true},
    {"capitals", "0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0", true},
    {"zeros", "00000000-0000-0000-0000-000000000000", true},
    {"empty", "", false},
    {"one short", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f", false},
    {"one long", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f00", false},
    {"no dashes", "0f1e2d3c04b5a069780879600a5b4c3d2e1f", false},
    {"dash too early", "0f1e2d3-c4b5a-6978-8796-a5b4c3d2e1f0", false},
    {"not hexadecimal", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1fg", false},
    {"a sign", "+f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", false},
    {"a space", " f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", false},
};

static void parses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(parse_cases); i++) {
        const struct parse_case *c = &parse_cases[i];
        struct uuid uuid = {{0xaa}}, before = uuid;

        CHECK((uuid_parse(c->text, &uuid) == 0) == c->good, "%s", c->label);
        CHECK(c->good || uuid_equal(&uuid, &before), "%s: the result was touched", c->label);
    }
}

static void formats_what_it_parsed(void **state)
{
    static const char text[] = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    static const uint8_t bytes[] = {0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78,
                                    0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2, 0xe1, 0xf0};
    char out[UUID_TEXT_LEN];
    struct uuid uuid;

    (void)state;
    assert_int_equal(uuid_parse(text, &uuid), 0);
    assert_memory_equal(uuid.bytes, bytes, UUID_LEN);
    uuid_format(&uuid, out);
    assert_string_equal(out, text);
}

static void tells_whether_set(void **state)
{
    struct uuid none = {{0}}, last = {{[15] = 1}};

    (void)state;
    assert_false(uuid_is_set(&none));
    assert_true(uuid_is_set(&last));
    assert_true(uuid_equal(&last, &last));
    assert_false(uuid_equal(&none, &last));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(formats_what_it_parsed),
        cmocka_unit_test(tells_whether_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
