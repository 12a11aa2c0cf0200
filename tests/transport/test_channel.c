/* Every kind of channel asks the rate limit before it sends. */
#include "transport/channel.h"

#include <unistd.h>

#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

#define LIMIT 1000000

static char bytes[10000];

static void send_bytes(struct channel *c, size_t len, unsigned flags)
{
    struct error err;

    OK(channel_send(c, bytes, len, flags, &err), err, "send");
}

/* A rate limit that reserves without waiting: `reserved` shows what was counted. */
static struct channel *limited(struct rate_limit *t, uint64_t bytes_per_s, int *ret_fd)
{
    struct channel *c = channel_and_fd(1000, ret_fd);

    rate_limit_init(t, bytes_per_s);
    rate_limit_stop(t);
    c->rate_limit = t;
    return c;
}

static const struct count_case {
    const char *label;
    size_t reserved;
    size_t sent[3]; /* one send each */
    uint64_t want;  /* counted, in bytes */
} count_cases[] = {
    {"one send", 0, {5000}, 5000},
    {"two sends", 0, {5000, 3000}, 8000},
    {"a packet and its pages", 8000, {5000, 3000}, 8000},
    {"less than was reserved", 8000, {5000}, 8000},
    {"more than was reserved", 8000, {5000, 3000, 700}, 8700},
    {"across the end of it", 6000, {5000, 3000}, 8000},
};

static void counts_a_packet_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(count_cases); i++) {
        const struct count_case *k = &count_cases[i];
        struct rate_limit t;
        int fd;
        struct channel *c = limited(&t, LIMIT, &fd);

        if (k->reserved)
            channel_reserve(c, k->reserved);
        for (size_t n = 0; n < ARRAY_LEN(k->sent) && k->sent[n]; n++)
            send_bytes(c, k->sent[n], 0);
        CHECK(t.reserved == k->want, "%s: %llu bytes were counted, expected %llu", k->label,
              (unsigned long long)t.reserved, (unsigned long long)k->want);
        channel_free(c);
        close(fd);
        rate_limit_done(&t);
    }
}

/* The rest of one packet's reservation is not used for the next packet. */
static void a_reservation_is_for_one_packet(void **state)
{
    struct rate_limit t;
    int fd;
    struct channel *c = limited(&t, LIMIT, &fd);

    (void)state;
    channel_reserve(c, 8000);
    channel_reserve(c, 1000);
    send_bytes(c, 2000, 0);
    assert_int_equal(t.reserved, 8000 + 1000 + 1000);
    channel_free(c);
    close(fd);
    rate_limit_done(&t);
}

/* A limit that is set later finds nothing reserved, and one that is removed leaves
 * nothing to wait for. */
static void a_limit_comes_and_goes(void **state)
{
    struct rate_limit t;
    int fd;
    struct channel *c = limited(&t, 0, &fd);

    (void)state;
    channel_reserve(c, 8000);
    send_bytes(c, 8000, 0);
    assert_int_equal(t.reserved, 0);
    rate_limit_set_rate(&t, LIMIT);
    send_bytes(c, 300, 0);
    assert_int_equal(t.reserved, 300);
    channel_reserve(c, 8000);
    rate_limit_set_rate(&t, 0);
    channel_reserve(c, 8000);
    rate_limit_set_rate(&t, LIMIT);
    send_bytes(c, 400, 0);
    assert_int_equal(t.reserved, 300 + 8000 + 400);
    channel_free(c);
    close(fd);
    rate_limit_done(&t);
}

/* The last word to a peer does not wait for the rate limit. */
static void nowait_is_not_counted(void **state)
{
    struct rate_limit t;
    int fd;
    struct channel *c = limited(&t, LIMIT, &fd);

    (void)state;
    send_bytes(c, 500, CHANNEL_NOWAIT);
    assert_int_equal(t.reserved, 0);
    channel_free(c);
    close(fd);
    rate_limit_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_a_packet_once),
        cmocka_unit_test(a_reservation_is_for_one_packet),
        cmocka_unit_test(a_limit_comes_and_goes),
        cmocka_unit_test(nowait_is_not_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
