#include "base/bytes.h"
#include "tests/support/test.h"

static const uint8_t wire[] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0,
                               0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77};

static void reads_big_endian(void **state)
{
    struct reader r = reader_of(wire, sizeof(wire));

    (void)state;
    assert_int_equal(get_u8(&r), 0x12);
    assert_int_equal(get_u16(&r), 0x3456);
    assert_int_equal(get_u32(&r), 0x789abcde);
    CHECK(get_u64(&r) == UINT64_C(0xf011223344556677), "u64");
    CHECK(!r.short_of && reader_left(&r) == 0, "the end is not short");
}

static const struct short_case {
    const char *label;
    size_t len, want;
} short_cases[] = {
    {"u8 of nothing", 0, 1}, {"u16 of 1", 1, 2}, {"u32 of 3", 3, 4},
    {"u64 of 7", 7, 8},      {"u64 of 0", 0, 8},
};

static void reads_zeros_behind_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(short_cases); i++) {
        const struct short_case *c = &short_cases[i];
        struct reader r = reader_of(wire, c->len);

        CHECK(get_be(&r, c->want) == 0, "%s: not zero", c->label);
        CHECK(r.short_of, "%s: not marked", c->label);
        CHECK(reader_left(&r) == 0, "%s: %zu bytes left", c->label, reader_left(&r));
        CHECK(get_u8(&r) == 0 && r.short_of, "%s: goes on behind the end", c->label);
    }
}

static void hands_out_bytes_in_place(void **state)
{
    struct reader r = reader_of(wire, sizeof(wire));

    (void)state;
    CHECK(get_bytes(&r, 4) == wire, "not where they lie");
    CHECK(get_bytes(&r, 0) == wire + 4, "nothing is a place too");
    CHECK(!get_bytes(&r, sizeof(wire)), "more than there is");
    CHECK(r.short_of, "not marked");
}

static void writes_what_it_reads(void **state)
{
    uint8_t out[sizeof(wire)];
    struct writer w = writer_of(out, sizeof(out));

    (void)state;
    put_u8(&w, 0x12);
    put_u16(&w, 0x3456);
    put_u32(&w, 0x789abcde);
    put_u64(&w, UINT64_C(0xf011223344556677));
    CHECK(!w.short_of && writer_left(&w) == 0, "it fits exactly");
    assert_memory_equal(out, wire, sizeof(wire));
}

static void never_leaves_its_buffer(void **state)
{
    uint8_t out[12];

    (void)state;
    for (size_t room = 0; room < 8; room++) {
        memset(out, 0xee, sizeof(out));
        struct writer w = writer_of(out, room);
        put_u64(&w, UINT64_MAX);
        CHECK(w.short_of, "room %zu: not marked", room);
        w = writer_of(out, room);
        put_zeros(&w, room + 1);
        CHECK(w.short_of, "zeros, room %zu: not marked", room);
        for (size_t i = 0; i < sizeof(out); i++)
            CHECK(out[i] == 0xee, "room %zu: byte %zu was written", room, i);
    }
    memset(out, 0xee, sizeof(out));
    struct writer w = writer_of(out, 4);
    put_zeros(&w, 4);
    CHECK(!w.short_of && out[3] == 0 && out[4] == 0xee, "zeros fill to the byte");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_big_endian),         cmocka_unit_test(reads_zeros_behind_the_end),
        cmocka_unit_test(hands_out_bytes_in_place), cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(never_leaves_its_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
