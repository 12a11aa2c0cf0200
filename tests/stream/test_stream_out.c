#include "stream/stream_out.h"

#include <unistd.h>

#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

static void writes_every_width(void **state)
{
    static const uint8_t want[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 2, 'a', 'b'};
    struct bytes_out o;

    (void)state;
    bytes_out_init(&o);
    out_u8(&o.out, 0x01);
    out_u16(&o.out, 0x0203);
    out_u32(&o.out, 0x04050607);
    out_u64(&o.out, UINT64_C(0x08090a0b0c0d0e0f));
    out_name(&o.out, "ab");
    assert_int_equal(o.out.offset, sizeof(want));
    struct buf b = bytes_out_take(&o);
    CHECK(b.len == sizeof(want) && memcmp(b.data, want, b.len) == 0, "other bytes");
    buf_done(&b);
}

/* Small fields between borrowed pages; more of both than one call or the buffer holds. */
static void keeps_the_order(void **state)
{
    enum { N = 2000, PAGE = 64 };
    static uint8_t pages[N * PAGE];
    static uint8_t want[N * (8 + PAGE + 40)];
    static uint8_t filler[40];
    struct bytes_out o;
    size_t len = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(pages); i++)
        pages[i] = (uint8_t)(i * 7 + i / 64);
    memset(filler, 0x5a, sizeof(filler));
    bytes_out_init(&o);
    for (size_t i = 0; i < N; i++) {
        size_t more = i % sizeof(filler);

        out_u64(&o.out, i);
        for (int k = 0; k < 8; k++)
            want[len++] = (uint8_t)(i >> (56 - 8 * k));
        out_borrowed(&o.out, pages + i * PAGE, PAGE);
        memcpy(want + len, pages + i * PAGE, PAGE);
        len += PAGE;
        out_bytes(&o.out, filler, more);
        memcpy(want + len, filler, more);
        len += more;
        CHECK(o.out.offset == len, "offset at %zu", i);
    }
    struct buf b = bytes_out_take(&o);
    CHECK(b.len == len && memcmp(b.data, want, len) == 0, "other bytes");
    buf_done(&b);
}

static void larger_than_the_buffer(void **state)
{
    enum { LEN = 5 * STREAM_OUT_ROOM + 17 };
    uint8_t *bytes = malloc(LEN);
    struct bytes_out o;

    (void)state;
    for (size_t i = 0; i < LEN; i++)
        bytes[i] = (uint8_t)(i * 13 + i / 251);
    bytes_out_init(&o);
    out_u8(&o.out, bytes[0]);
    out_bytes(&o.out, bytes + 1, LEN - 1);
    struct buf b = bytes_out_take(&o);
    CHECK(b.len == LEN && memcmp(b.data, bytes, LEN) == 0, "other bytes");
    buf_done(&b);
    free(bytes);
}

static void first_failure_sticks(void **state)
{
    struct stream_out out;
    struct error err;
    int peer;

    (void)state;
    OK(stream_out_init(&out, channel_and_fd(0, &peer), &err), err, "init");
    close(peer);
    out_u64(&out, 1);
    check_refused("nobody there", stream_out_flush(&out, &err), &err, ERR_SYSTEM, "send");
    out_u64(&out, 2);
    out_bytes(&out, "abc", 3);
    out_borrowed(&out, "abc", 3);
    check_refused("still", stream_out_flush(&out, &err), &err, ERR_SYSTEM, "send");
    channel_free(out.channel);
    stream_out_done(&out);
}

static void seeks_in_a_file(void **state)
{
    struct bytes_out o;

    (void)state;
    bytes_out_init(&o);
    out_bytes(&o.out, "abcd", 4);
    stream_out_seek(&o.out, 8);
    assert_int_equal(o.out.offset, 8);
    out_bytes(&o.out, "ij", 2);
    stream_out_seek(&o.out, 1);
    out_bytes(&o.out, "B", 1);
    struct buf b = bytes_out_take(&o);
    CHECK(b.len == 10 && memcmp(b.data, "aBcd\0\0\0\0ij", 10) == 0, "other bytes");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_every_width),     cmocka_unit_test(keeps_the_order),
        cmocka_unit_test(larger_than_the_buffer), cmocka_unit_test(first_failure_sticks),
        cmocka_unit_test(seeks_in_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
