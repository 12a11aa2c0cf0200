#include "stream/return_path.h"

#include <unistd.h>

#include "tests/support/bytes_channel.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "transport/file_channel.h"

#define WIRE(text) text, sizeof(text) - 1

static const struct good_case {
    const char *wire;
    size_t len;
    struct return_path_message message;
} good_cases[] = {
    {WIRE("\0\1\0\4\0\0\0\0"), {RETURN_SHUT, 0}},
    {WIRE("\0\1\0\4\0\0\0\5"), {RETURN_SHUT, 5}},
    {WIRE("\0\2\0\4\x12\x34\x56\x78"), {RETURN_PONG, 0x12345678}},
    {WIRE("\0\6\0\4\0\0\0\1"), {RETURN_RESUME_ACK, 1}},
    {WIRE("\0\7\0\0"), {RETURN_SWITCHOVER_ACK, 0}},
    {WIRE("\0\x40\0\0"), {RETURN_SWITCHOVER_READY, 0}},
    {WIRE("\0\x41\0\0"), {RETURN_SWITCHOVER_ALIVE, 0}},
};

static int receive(const void *wire, size_t len, struct return_path_message *m, struct error *err)
{
    struct stream_in in;

    bytes_stream_in(&in, wire, len);
    int rc = return_path_recv(&in, m, err);
    bytes_stream_in_done(&in);
    return rc;
}

static void both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good_cases); i++) {
        const struct good_case *c = &good_cases[i];
        struct return_path_message m;
        struct error err;
        int fd = bytes_fd(NULL, 0);
        struct channel *channel;

        OK(receive(c->wire, c->len, &m, &err), err, "receive");
        CHECK(m.type == c->message.type && m.value == c->message.value, "type %d, value %u", m.type,
              m.value);
        for (size_t len = 0; len < c->len; len++)
            CHECK(receive(c->wire, len, &m, &err) < 0, "type %d cut at %zu", m.type, len);
        OK(file_channel_open(fd, 0, &channel, &err), err, "channel");
        OK(return_path_send(channel, c->message.type, c->message.value, 0, &err), err, "send");
        struct buf b = bytes_of_fd(fd);
        CHECK(b.len == c->len && memcmp(b.data, c->wire, b.len) == 0, "type %d: sent otherwise",
              c->message.type);
        buf_done(&b);
        channel_free(channel);
        close(fd);
    }
}

static const struct bad_case {
    const char *label, *wire;
    size_t len;
    const char *refused;
} bad_cases[] = {
    {"closed", WIRE(""), "closed the connection without a verdict"},
    {"type 0", WIRE("\0\0\0\0"), "message type 0"},
    {"type 8", WIRE("\0\10\0\0"), "message type 8"},
    {"type 65535", WIRE("\xff\xff\xff\xff"), "message type 65535"},
    {"SHUT without a value", WIRE("\0\1\0\0"), "SHUT: length 0, expected 4"},
    {"SHUT of 8", WIRE("\0\1\0\10\0\0\0\0\0\0\0\0"), "SHUT: length 8, expected 4"},
    {"PONG of 513", WIRE("\0\2\2\1"), "PONG: length 513, expected 4"},
    {"a page is asked for", WIRE("\0\4\0\14............"), "message type 4"},
    {"a page of a block", WIRE("\0\3\0\16.............."), "message type 3"},
    {"a bitmap", WIRE("\0\5\0\2\1m"), "message type 5"},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct return_path_message m = {.value = 77};
        struct error err;

        check_refused(c->label, receive(c->wire, c->len, &m, &err), &err, ERR_PEER, c->refused);
        CHECK(strncmp(err.text, "return path: ", 13) == 0, "%s: %s", c->label, err.text);
        CHECK(m.value == 77, "%s: the result was touched", c->label);
    }
}

static const char *const recorded[] = {"v11-multifd-none/c0.rev", "v11-postcopy-advised/c0.rev"};

/* What real destinations answered, and ramjet would too: PONG 1, SHUT 0. */
static void golden_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(recorded); i++) {
        struct buf b = golden(recorded[i]);
        int fd = bytes_fd(NULL, 0);
        struct return_path_message m;
        struct channel *channel;
        struct stream_in in;
        struct error err;

        bytes_stream_in(&in, b.data, b.len);
        OK(return_path_recv(&in, &m, &err), err, recorded[i]);
        CHECK(m.type == RETURN_PONG && m.value == 1, "%s: first", recorded[i]);
        OK(return_path_recv(&in, &m, &err), err, recorded[i]);
        CHECK(m.type == RETURN_SHUT && m.value == 0, "%s: second", recorded[i]);
        CHECK(!stream_in_wait(&in), "%s: a third", recorded[i]);
        bytes_stream_in_done(&in);
        OK(file_channel_open(fd, 0, &channel, &err), err, "channel");
        OK(return_path_send(channel, RETURN_PONG, 1, 0, &err), err, "PONG");
        OK(return_path_send(channel, RETURN_SHUT, 0, 0, &err), err, "SHUT");
        struct buf ours = bytes_of_fd(fd);
        CHECK(ours.len == b.len && memcmp(ours.data, b.data, b.len) == 0, "%s: ours differs",
              recorded[i]);
        buf_done(&ours);
        buf_done(&b);
        channel_free(channel);
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(refuses),
        cmocka_unit_test(golden_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
