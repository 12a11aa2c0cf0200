#include "stream/configuration.h"

#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

#define HEAD    "QEVM\0\0\0\3"
#define MACHINE "\7\0\0\0\xbpc-q35-11.1"
#define BITS    "\5\36configuration/target-page-bits\0\0\0\1\0\0\0\14"
#define CAPS(n) "\5\32configuration/capabilities\0\0\0\1\0\0\0" n
#define UUID                                                                                       \
    "\5\22configuration/"                                                                          \
    "uuid\0\0\0\1\x0f\x1e\x2d\x3c\x4b\x5a\x69\x78\x87\x96\xa5\xb4\xc3\xd2\xe1\xf0"
#define SHARED "\17x-ignore-shared"
#define MAPPED "\12mapped-ram"
#define THE_UUID                                                                                   \
    {                                                                                              \
        {                                                                                          \
            0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78, 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2,    \
                0xe1, 0xf0                                                                         \
        }                                                                                          \
    }
#define WIRE(text) text, sizeof(text) - 1

static const struct good_case {
    const char *label, *wire;
    size_t len;
    struct configuration want;
} good_cases[] = {
    {"machine only", WIRE(HEAD MACHINE), {.machine = "pc-q35-11.1"}},
    {"page bits", WIRE(HEAD MACHINE BITS), {.machine = "pc-q35-11.1", .page_bits = 12}},
    {"x-ignore-shared",
     WIRE(HEAD MACHINE CAPS("\1") SHARED),
     {.machine = "pc-q35-11.1", .capabilities = STREAM_CAP_X_IGNORE_SHARED}},
    {"mapped-ram",
     WIRE(HEAD MACHINE CAPS("\1") MAPPED),
     {.machine = "pc-q35-11.1", .capabilities = STREAM_CAP_MAPPED_RAM}},
    {"both",
     WIRE(HEAD MACHINE CAPS("\2") SHARED MAPPED),
     {.machine = "pc-q35-11.1",
      .capabilities = STREAM_CAP_X_IGNORE_SHARED | STREAM_CAP_MAPPED_RAM}},
    {"UUID",
     WIRE(HEAD MACHINE UUID),
     {.machine = "pc-q35-11.1", .has_uuid = true, .uuid = THE_UUID}},
    {"everything",
     WIRE(HEAD MACHINE BITS CAPS("\1") MAPPED UUID),
     {.machine = "pc-q35-11.1",
      .page_bits = 12,
      .capabilities = STREAM_CAP_MAPPED_RAM,
      .has_uuid = true,
      .uuid = THE_UUID}},
};

static int read_one(const void *wire, size_t len, struct configuration *c, struct error *err)
{
    struct stream_in in;

    bytes_stream_in(&in, wire, len);
    configuration_in(&in, c);
    int rc = stream_in_check(&in, err);
    bytes_stream_in_done(&in);
    return rc;
}

static void both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good_cases); i++) {
        const struct good_case *c = &good_cases[i];
        struct configuration found;
        struct bytes_out o;
        struct error err;

        OK(read_one(c->wire, c->len, &found, &err), err, c->label);
        CHECK(strcmp(found.machine, c->want.machine) == 0, "%s: %s", c->label, found.machine);
        CHECK(found.capabilities == c->want.capabilities, "%s: capabilities %x", c->label,
              found.capabilities);
        CHECK(found.page_bits == c->want.page_bits, "%s: page bits", c->label);
        CHECK(found.has_uuid == c->want.has_uuid && uuid_equal(&found.uuid, &c->want.uuid),
              "%s: UUID", c->label);
        bytes_out_init(&o);
        configuration_out(&o.out, &c->want);
        struct buf b = bytes_out_take(&o);
        CHECK(b.len == c->len && memcmp(b.data, c->wire, b.len) == 0, "%s: written otherwise",
              c->label);
        buf_done(&b);
    }
}

static void what_follows_is_left(void **state)
{
    static const char wire[] = HEAD MACHINE UUID "\1next";
    struct configuration c;
    struct stream_in in;

    (void)state;
    bytes_stream_in(&in, wire, sizeof(wire) - 1);
    configuration_in(&in, &c);
    assert_int_equal(in.offset, sizeof(wire) - 6);
    assert_int_equal(in_u8(&in), 1);
    bytes_stream_in_done(&in);
}

static void cut_at_every_byte(void **state)
{
    const struct good_case *c = &good_cases[ARRAY_LEN(good_cases) - 1];
    /* A cut at the end of a subsection leaves a valid, shorter configuration. */
    static const size_t ends[] = {24, 24 + 40, 24 + 40 + 47};

    (void)state;
    for (size_t len = 0; len < c->len; len++) {
        struct configuration found;
        struct error err;
        bool whole = false;

        for (size_t i = 0; i < ARRAY_LEN(ends); i++)
            whole |= len == ends[i];
        int rc = read_one(c->wire, len, &found, &err);
        if (whole)
            CHECK(rc == 0, "cut at %zu: %s", len, err.text);
        else
            CHECK(rc < 0 && err.kind == ERR_PEER, "cut at %zu: accepted", len);
    }
}

static const struct bad_case {
    const char *label, *wire;
    size_t len;
    const char *refused;
} bad_cases[] = {
    {"wrong magic", WIRE("QEVN\0\0\0\3" MACHINE),
     "stream magic: found 0x5145564e, expected 0x5145564d"},
    {"version 2", WIRE("QEVM\0\0\0\2" MACHINE),
     "stream version: found 2, expected 3 (2 is obsolete)"},
    {"version 4", WIRE("QEVM\0\0\0\4" MACHINE), "stream version: found 4, expected 3"},
    {"no configuration", WIRE(HEAD "\1\0\0\0\1\3ram"),
     "found element 0x01, expected the configuration 0x07"},
    {"empty name", WIRE(HEAD "\7\0\0\0\0"), "length 0, expected 1 to 127"},
    {"name of 128", WIRE(HEAD "\7\0\0\0\x80"), "length 128, expected 1 to 127"},
    {"name of 4 GiB", WIRE(HEAD "\7\xff\xff\xff\xff"), "length 4294967295, expected 1 to 127"},
    {"name with a zero", WIRE(HEAD "\7\0\0\0\3p\0c"), "machine type: holds byte 0x00"},
    {"name with a space", WIRE(HEAD "\7\0\0\0\3p c"), "machine type: holds byte 0x20"},
    {"name with an escape", WIRE(HEAD "\7\0\0\0\3p\33c"), "machine type: holds byte 0x1b"},
    {"unknown subsection", WIRE(HEAD MACHINE "\5\17configuration/x\0\0\0\1"),
     "subsection 'configuration/x'"},
    {"empty subsection", WIRE(HEAD MACHINE "\5\0\0\0\0\1"), "subsection ''"},
    {"page bits 16", WIRE(HEAD MACHINE "\5\36configuration/target-page-bits\0\0\0\1\0\0\0\20"),
     "found 16, expected 12"},
    {"page bits version 2",
     WIRE(HEAD MACHINE "\5\36configuration/target-page-bits\0\0\0\2\0\0\0\14"),
     "version 2, expected 1"},
    {"UUID version 0",
     WIRE(HEAD MACHINE "\5\22configuration/uuid\0\0\0\0"
                       "0123456789abcdef"),
     "version 0, expected 1"},
    {"unknown capability", WIRE(HEAD MACHINE CAPS("\1") "\7multifd"),
     "'multifd', expected x-ignore-shared or mapped-ram"},
    {"many capabilities", WIRE(HEAD MACHINE CAPS("\3") SHARED MAPPED SHARED), "3 of them"},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct configuration found;
        struct error err;

        check_refused(c->label, read_one(c->wire, c->len, &found, &err), &err, ERR_PEER,
                      c->refused);
    }
}

/* --- the capabilities that must be the same at both ends (S3) --------------------------------- */

#define IGNORE STREAM_CAP_X_IGNORE_SHARED
#define FILED  STREAM_CAP_MAPPED_RAM

static const struct expect_case {
    const char *label;
    uint32_t found, expected, open;
    const char *refused;
} expect_cases[] = {
    {"none", 0, 0, 0, NULL},
    {"both", IGNORE | FILED, IGNORE | FILED, 0, NULL},
    {"x-ignore-shared at both ends", IGNORE, IGNORE, 0, NULL},
    {"x-ignore-shared at the source", IGNORE, 0, 0,
     "x-ignore-shared is on at the source, expected off"},
    {"x-ignore-shared here", 0, IGNORE, 0, "x-ignore-shared is off at the source, expected on"},
    {"mapped-ram at the source", FILED, 0, 0, "mapped-ram is on at the source, expected off"},
    {"mapped-ram here", 0, FILED, 0, "mapped-ram is off at the source, expected on"},
    {"one each", IGNORE, FILED, 0, "x-ignore-shared is on at the source, expected off"},
    {"mapped-ram is the file's affair, on", FILED, 0, FILED, NULL},
    {"mapped-ram is the file's affair, off", 0, FILED, FILED, NULL},
    {"the other is not", FILED | IGNORE, 0, FILED,
     "x-ignore-shared is on at the source, expected off"},
    {"nor here", FILED, IGNORE, FILED, "x-ignore-shared is off at the source, expected on"},
};

static void expects_capabilities(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(expect_cases); i++) {
        const struct expect_case *c = &expect_cases[i];
        const struct configuration config = {.capabilities = c->found};
        struct error err;
        int rc = configuration_expect(&config, c->expected, c->open, &err);

        if (c->refused)
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
        else
            OK(rc, err, c->label);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(what_follows_is_left),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(refuses),
        cmocka_unit_test(expects_capabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
