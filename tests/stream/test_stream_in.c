#include "stream/stream_in.h"

#include <unistd.h>

#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

static void reads_every_width(void **state)
{
    static const uint8_t wire[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 2, 'a', 'b'};
    struct stream_in in;
    struct error err;
    char name[256];

    (void)state;
    bytes_stream_in(&in, wire, sizeof(wire));
    assert_int_equal(in_u8(&in), 0x01);
    assert_int_equal(in_u16(&in), 0x0203);
    assert_int_equal(in_u32(&in), 0x04050607);
    CHECK(in_u64(&in) == UINT64_C(0x08090a0b0c0d0e0f), "u64");
    in_name(&in, name);
    assert_string_equal(name, "ab");
    assert_int_equal(in.offset, sizeof(wire));
    OK(stream_in_check(&in, &err), err, "all of it");
    CHECK(!stream_in_wait(&in), "more bytes than there are");
    OK(stream_in_check(&in, &err), err, "an orderly end is no failure");
    bytes_stream_in_done(&in);
}

static void first_failure_sticks(void **state)
{
    struct stream_in in;
    struct error err;
    char name[256] = "x";
    uint8_t bytes[4] = {0};
    size_t len;

    (void)state;
    bytes_stream_in(&in, "abcdef", 6);
    in_u16(&in);
    stream_in_fail(&in, "magic %u", 7U);
    stream_in_fail(&in, "second");
    assert_int_equal(in_u8(&in), 0);
    assert_int_equal(in_u64(&in), 0);
    in_name(&in, name);
    assert_string_equal(name, "");
    in_bytes(&in, bytes, sizeof(bytes));
    in_skip(&in, 1);
    CHECK(!stream_in_wait(&in) && !stream_in_peek(&in, 1, &len), "goes on");
    check_refused("sticks", stream_in_check(&in, &err), &err, ERR_PEER, "byte 2: magic 7");
    bytes_stream_in_done(&in);
}

static void short_reads_fail(void **state)
{
    (void)state;
    for (size_t have = 0; have < 8; have++) {
        struct stream_in in;
        struct error err;

        bytes_stream_in(&in, "12345678", have);
        CHECK(in_u64(&in) == 0, "%zu of 8 bytes: not zero", have);
        check_refused("u64", stream_in_check(&in, &err), &err, ERR_PEER, "the file ends");
        bytes_stream_in_done(&in);
        uint8_t bytes[8];
        bytes_stream_in(&in, "12345678", have);
        in_bytes(&in, bytes, 8);
        check_refused("bytes", stream_in_check(&in, &err), &err, ERR_PEER, "the file ends");
        bytes_stream_in_done(&in);
        bytes_stream_in(&in, "12345678", have);
        in_skip(&in, 8);
        check_refused("skip", stream_in_check(&in, &err), &err, ERR_PEER, "the file ends");
        bytes_stream_in_done(&in);
    }
}

static const struct name_case {
    const char *label, *wire;
    size_t len;
    const char *refused;
} name_cases[] = {
    {"plain", "\4ramX", 5, NULL},
    {"empty", "\0", 1, NULL},
    {"path", "\5/a/b~", 6, NULL},
    {"with a zero", "\3a\0b", 4, "holds byte 0x00"},
    {"with a line feed", "\3a\nb", 4, "holds byte 0x0a"},
    {"above ASCII", "\1\xff", 2, "holds byte 0xff"},
    {"cut", "\5abcd", 5, "the file ends"},
};

static void names_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(name_cases); i++) {
        const struct name_case *c = &name_cases[i];
        struct stream_in in;
        struct error err;
        char name[256];

        bytes_stream_in(&in, c->wire, c->len);
        in_name(&in, name);
        int rc = stream_in_check(&in, &err);
        if (c->refused) {
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
            CHECK(!name[0], "%s: something is left", c->label);
        } else {
            OK(rc, err, c->label);
            CHECK(strlen(name) == c->len - 1, "%s: '%s'", c->label, name);
        }
        bytes_stream_in_done(&in);
    }
}

static void longest_name(void **state)
{
    uint8_t wire[256] = {255};
    struct stream_in in;
    struct error err;
    char name[256];

    (void)state;
    memset(wire + 1, 'n', 255);
    bytes_stream_in(&in, wire, sizeof(wire));
    in_name(&in, name);
    OK(stream_in_check(&in, &err), err, "255 bytes");
    assert_int_equal(strlen(name), 255);
    bytes_stream_in_done(&in);
}

/* More than the buffer holds, in pieces of every size: no byte is lost between buffer and
 * caller. */
static void mixes_fields_and_bytes(void **state)
{
    enum { LEN = 3 * STREAM_IN_ROOM + 4321 };
    uint8_t *wire = malloc(LEN), *piece = malloc(LEN);
    struct buf copy = {0};
    struct stream_in in;
    struct error err;

    (void)state;
    for (size_t i = 0; i < LEN; i++)
        wire[i] = (uint8_t)(i * 31 + i / 255);
    bytes_stream_in(&in, wire, LEN);
    in.copy = &copy;
    for (size_t at = 0, n = 1; at < LEN; n = n * 3 + 1) {
        size_t len = MIN(n % 70000, LEN - at), ahead;

        switch (n % 4) {
        case 0:
            in_skip(&in, len);
            break;
        case 1:
            len = MIN((size_t)1, LEN - at);
            CHECK(in_u8(&in) == wire[at], "byte %zu", at);
            break;
        case 2:
            len = 0;
            const uint8_t *p = stream_in_peek(&in, MIN(LEN - at, (size_t)STREAM_IN_ROOM), &ahead);
            CHECK(p && memcmp(p, wire + at, ahead) == 0, "peek at %zu", at);
            break;
        default:
            in_bytes(&in, piece, len);
            CHECK(memcmp(piece, wire + at, len) == 0, "%zu bytes at %zu", len, at);
        }
        at += len;
        CHECK(in.offset == at, "offset %llu, expected %zu", (unsigned long long)in.offset, at);
    }
    OK(stream_in_check(&in, &err), err, "mixed");
    CHECK(copy.len == LEN && memcmp(copy.data, wire, LEN) == 0, "the copy differs");
    buf_done(&copy);
    bytes_stream_in_done(&in);
    free(wire);
    free(piece);
}

static void copy_has_a_limit(void **state)
{
    struct buf copy = {.limit = 4};
    struct stream_in in;
    struct error err;

    (void)state;
    bytes_stream_in(&in, "123456", 6);
    in.copy = &copy;
    in_u32(&in);
    OK(stream_in_check(&in, &err), err, "to the limit");
    in_u8(&in);
    check_refused("past the limit", stream_in_check(&in, &err), &err, ERR_PEER, "more than 4");
    buf_done(&copy);
    bytes_stream_in_done(&in);
}

static void unread_bytes_come_first(void **state)
{
    struct stream_in in;

    (void)state;
    bytes_stream_in(&in, "EMrest", 6);
    stream_in_unread(&in, "QEV", 3);
    assert_int_equal(in_u32(&in), 0x51455645);
    assert_int_equal(in_u8(&in), 'M');
    assert_int_equal(in.offset, 5);
    bytes_stream_in_done(&in);
}

static void seeks_in_a_file(void **state)
{
    struct stream_in in;

    (void)state;
    bytes_stream_in(&in, "0123456789", 10);
    in_u8(&in);
    stream_in_seek(&in, 7);
    assert_int_equal(in.offset, 7);
    assert_int_equal(in_u8(&in), '7');
    bytes_stream_in_done(&in);
}

/* The buffer is full of peeked bytes: peeking for more than fits can only be our own mistake. */
static void waits_at_an_open_connection(void **state)
{
    struct stream_in in;
    struct error err;
    int peer;

    (void)state;
    OK(stream_in_init(&in, channel_and_fd(0, &peer), &err), err, "init");
    CHECK(write(peer, "\1\2", 2) == 2, "write");
    CHECK(stream_in_wait(&in) && in_u8(&in) == 1, "a byte is there");
    CHECK(stream_in_wait(&in), "another one");
    close(peer);
    CHECK(in_u16(&in) == 0, "half a field");
    check_refused("closed inside", stream_in_check(&in, &err), &err, ERR_PEER,
                  "byte 2: the peer closed the connection");
    bytes_stream_in_done(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_width), cmocka_unit_test(first_failure_sticks),
        cmocka_unit_test(short_reads_fail),  cmocka_unit_test(names_are_checked),
        cmocka_unit_test(longest_name),      cmocka_unit_test(mixes_fields_and_bytes),
        cmocka_unit_test(copy_has_a_limit),  cmocka_unit_test(unread_bytes_come_first),
        cmocka_unit_test(seeks_in_a_file),   cmocka_unit_test(waits_at_an_open_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
