#include "stream/command.h"

#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

#define WIRE(text) text, sizeof(text) - 1

static const struct good_case {
    const char *wire; /* after the type byte */
    size_t len;
    enum stream_command id;
    const char *name;
} good_cases[] = {
    {WIRE("\0\1\0\0"), COMMAND_OPEN_RETURN_PATH, "OPEN_RETURN_PATH"},
    {WIRE("\0\2\0\4\0\0\0\1"), COMMAND_PING, "PING"},
    {WIRE("\0\3\0\0"), COMMAND_POSTCOPY_ADVISE, "POSTCOPY_ADVISE"},
    {WIRE("\0\3\0\20\0\0\0\0\0\0\20\0\0\0\0\0\0\0\20\0"), COMMAND_POSTCOPY_ADVISE,
     "POSTCOPY_ADVISE"},
    {WIRE("\0\4\0\0"), COMMAND_POSTCOPY_LISTEN, "POSTCOPY_LISTEN"},
    {WIRE("\0\5\0\0"), COMMAND_POSTCOPY_RUN, "POSTCOPY_RUN"},
    {WIRE("\0\6\0\5\0\1m\0\0"), COMMAND_POSTCOPY_RAM_DISCARD, "POSTCOPY_RAM_DISCARD"},
    {WIRE("\0\7\0\4\0\0\0\1"), COMMAND_PACKAGED, "PACKAGED"},
    {WIRE("\0\10\0\0"), COMMAND_ENABLE_COLO, "ENABLE_COLO"},
    {WIRE("\0\11\0\0"), COMMAND_POSTCOPY_RESUME, "POSTCOPY_RESUME"},
    {WIRE("\0\12\0\2\1m"), COMMAND_RECV_BITMAP, "RECV_BITMAP"},
    {WIRE("\0\13\0\0"), COMMAND_SWITCHOVER_START, "SWITCHOVER_START"},
};

static void both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good_cases); i++) {
        const struct good_case *c = &good_cases[i];
        struct bytes_out o;
        struct stream_in in;
        struct command found;
        struct error err;

        bytes_stream_in(&in, c->wire, c->len);
        command_in(&in, &found);
        OK(stream_in_check(&in, &err), err, c->name);
        CHECK(found.id == c->id && found.len == c->len - 4 &&
                  memcmp(found.payload, c->wire + 4, found.len) == 0,
              "%s: read otherwise", c->name);
        CHECK(strcmp(command_name(found.id), c->name) == 0, "%s: called %s", c->name,
              command_name(found.id));
        bytes_stream_in_done(&in);
        bytes_out_init(&o);
        command_out(&o.out, c->id, c->wire + 4, (uint16_t)(c->len - 4));
        struct buf b = bytes_out_take(&o);
        CHECK(b.len == c->len + 1 && b.data[0] == STREAM_COMMAND &&
                  memcmp(b.data + 1, c->wire, c->len) == 0,
              "%s: written otherwise", c->name);
        buf_done(&b);
        for (size_t len = 0; len < c->len; len++) {
            bytes_stream_in(&in, c->wire, len);
            command_in(&in, &found);
            CHECK(stream_in_check(&in, &err) < 0, "%s: cut at %zu", c->name, len);
            bytes_stream_in_done(&in);
        }
    }
}

static void ping_is_one_number(void **state)
{
    struct bytes_out o;

    (void)state;
    bytes_out_init(&o);
    command_out_ping(&o.out, 0x12345678);
    struct buf b = bytes_out_take(&o);
    CHECK(b.len == 9 && memcmp(b.data, "\x8\0\2\0\4\x12\x34\x56\x78", 9) == 0, "otherwise");
    buf_done(&b);
}

static const struct bad_case {
    const char *label, *wire;
    size_t len;
    const char *refused;
} bad_cases[] = {
    {"number 0", WIRE("\0\0\0\0"), "command 0: expected 1 to 11"},
    {"number 12", WIRE("\0\14\0\0"), "command 12: expected 1 to 11"},
    {"number 65535", WIRE("\xff\xff\0\0"), "command 65535"},
    {"OPEN_RETURN_PATH with payload", WIRE("\0\1\0\1x"), "OPEN_RETURN_PATH: length 1, expected 0"},
    {"PING of 3", WIRE("\0\2\0\3xyz"), "PING: length 3, expected 4"},
    {"PING of 5", WIRE("\0\2\0\5abcde"), "PING: length 5, expected 4"},
    {"PACKAGED of 0", WIRE("\0\7\0\0"), "PACKAGED: length 0, expected 4"},
    {"an endless one", WIRE("\0\6\xff\xff"),
     "POSTCOPY_RAM_DISCARD: length 65535, expected at most"},
    {"ADVISE of 8 bytes", WIRE("\0\3\0\10\0\0\0\0\0\0\20\0"),
     "POSTCOPY_ADVISE: length 8, expected 0 or 16"},
    {"ADVISE of 64 KiB", WIRE("\0\3\xff\xff"), "POSTCOPY_ADVISE: length 65535, expected"},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct stream_in in;
        struct command found;
        struct error err;

        bytes_stream_in(&in, c->wire, c->len);
        command_in(&in, &found);
        check_refused(c->label, stream_in_check(&in, &err), &err, ERR_PEER, c->refused);
        bytes_stream_in_done(&in);
    }
    CHECK(strcmp(command_name((enum stream_command)99), "?") == 0, "a number without a name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(ping_is_one_number),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
