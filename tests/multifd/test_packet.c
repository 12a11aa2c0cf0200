#include "multifd/packet.h"

#include "base/bytes.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

static void put32(uint8_t *at, uint32_t value)
{
    struct writer w = writer_of(at, 4);

    put_u32(&w, value);
}

/* --- hello ----------------------------------------------------------------------------------- */

static const struct multifd_hello hello = {
    .uuid = {{0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78, 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2,
              0xe1, 0xf0}},
    .id = 254,
};

static void hello_both_ways(void **state)
{
    uint8_t wire[MULTIFD_HELLO_LEN];
    struct multifd_hello found;
    struct error err;

    (void)state;
    multifd_hello_encode(&hello, wire);
    assert_memory_equal(wire, "\x11\x22\x33\x44\0\0\0\1", 8);
    assert_memory_equal(wire + 8, hello.uuid.bytes, UUID_LEN);
    assert_int_equal(wire[24], 254);
    for (size_t i = 25; i < sizeof(wire); i++)
        CHECK(wire[i] == 0, "reserved byte %zu", i);
    memset(wire + 25, 0xff, sizeof(wire) - 25); /* reserved: may hold anything */
    OK(multifd_hello_decode(wire, &found, &err), err, "hello");
    CHECK(found.id == 254 && uuid_equal(&found.uuid, &hello.uuid), "read otherwise");
}

static const struct hello_case {
    const char *label;
    size_t at;
    uint32_t value;
    const char *refused;
} hello_cases[] = {
    {"magic", 0, 0x10223344, "multifd hello: magic 0x10223344, expected 0x11223344"},
    {"version 0", 4, 0, "multifd hello: version 0, expected 1"},
    {"version 2", 4, 2, "multifd hello: version 2, expected 1"},
};

static void hello_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hello_cases); i++) {
        const struct hello_case *c = &hello_cases[i];
        struct multifd_hello found = {.id = 7};
        uint8_t wire[MULTIFD_HELLO_LEN];
        struct error err;

        multifd_hello_encode(&hello, wire);
        put32(wire + c->at, c->value);
        check_refused(c->label, multifd_hello_decode(wire, &found, &err), &err, ERR_PEER,
                      c->refused);
        CHECK(found.id == 7, "%s: the result was touched", c->label);
    }
}

/* --- packets --------------------------------------------------------------------------------- */

static struct multifd_packet packet(bool sync, uint32_t n_normal, uint32_t n_zero)
{
    struct multifd_packet p = {
        .sync = sync,
        .n_normal = n_normal,
        .n_zero = n_zero,
        .payload_bytes = n_normal * RAM_PAGE_SIZE,
        .number = UINT64_C(0x123456789abcdef0),
        .block = "pc.ram",
    };

    for (uint32_t i = 0; i < n_normal + n_zero; i++)
        p.offsets[i] = (uint64_t)(i * 3 + 1) << RAM_PAGE_BITS;
    return p;
}

static const struct both_case {
    const char *label;
    bool sync;
    uint32_t n_normal, n_zero;
} both_cases[] = {
    {"one page", false, 1, 0},       {"one zero page", false, 0, 1}, {"full", false, 128, 0},
    {"all zero", false, 0, 128},     {"mixed", false, 100, 28},      {"empty SYNC", true, 0, 0},
    {"SYNC with pages", true, 7, 3}, {"nothing", false, 0, 0},
};

static int decode(const uint8_t *wire, struct multifd_packet *p, struct error *err)
{
    if (multifd_prefix_check(wire, err) < 0)
        return -1;
    return multifd_packet_decode(wire, p, err);
}

static void packet_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(both_cases); i++) {
        const struct both_case *c = &both_cases[i];
        struct multifd_packet p = packet(c->sync, c->n_normal, c->n_zero), found = {0};
        uint8_t wire[MULTIFD_PACKET_LEN];
        struct error err;

        multifd_packet_encode(&p, wire);
        OK(decode(wire, &found, &err), err, c->label);
        CHECK(found.sync == p.sync && found.n_normal == p.n_normal && found.n_zero == p.n_zero &&
                  found.payload_bytes == p.payload_bytes && found.number == p.number &&
                  found.method == CODEC_NONE,
              "%s: read otherwise", c->label);
        if (p.n_normal + p.n_zero == 0)
            continue;
        CHECK(strcmp(found.block, p.block) == 0, "%s: block '%s'", c->label, found.block);
        CHECK(memcmp(found.offsets, p.offsets, (p.n_normal + p.n_zero) * sizeof(p.offsets[0])) == 0,
              "%s: offsets", c->label);
    }
}

#define AT_FLAGS    8
#define AT_CAPACITY 12
#define AT_NORMAL   16
#define AT_SIZE     20
#define AT_ZERO     32
#define AT_RESERVED 36
#define AT_NAME     64

/* A packet of 2 normal and 1 zero page with one word changed. */
static const struct change_case {
    const char *label;
    size_t at;
    uint32_t value;
    const char *refused; /* NULL: it passes */
} change_cases[] = {
    {"magic", 0, 0, "multifd packet: magic 0x00000000, expected 0x11223344"},
    {"version", 4, 3, "multifd packet: version 3, expected 1"},
    {"undefined bit 7", AT_FLAGS, 0x80, NULL},
    {"undefined bit 31", AT_FLAGS, 0x80000000, NULL},
    {"device state", AT_FLAGS, 0x40, "flags 0x40, device state, expected RAM"},
    {"method zlib", AT_FLAGS, 0x02, NULL}, /* the channel checks whether it fits */
    {"two methods", AT_FLAGS, 0x06, "flags 0x6, not one method"},
    {"all methods", AT_FLAGS, 0x3e, "flags 0x3e, not one method"},
    {"capacity to the page", AT_CAPACITY, 3, NULL},
    {"capacity one short", AT_CAPACITY, 2, "1 zero pages beside 2 normal"},
    {"capacity too small", AT_CAPACITY, 1, "2 normal pages, expected at most 1"},
    {"capacity 0", AT_CAPACITY, 0, "2 normal pages, expected at most 0"},
    {"capacity 129", AT_CAPACITY, 129, "capacity of 129 pages, expected at most 128"},
    {"capacity of the world", AT_CAPACITY, UINT32_MAX, "capacity of 4294967295 pages"},
    {"129 normal pages", AT_NORMAL, 129, "129 normal pages, expected at most 128"},
    {"normal pages of the world", AT_NORMAL, UINT32_MAX, "4294967295 normal pages"},
    {"126 zero pages", AT_ZERO, 126, NULL},
    {"127 zero pages", AT_ZERO, 127,
     "127 zero pages beside 2 normal, expected at most 128 together"},
    {"a sum that overflows", AT_ZERO, UINT32_MAX - 1, "4294967294 zero pages beside 2"},
    {"another size", AT_SIZE, 17, NULL},
    {"size of the world", AT_SIZE, UINT32_MAX, NULL},
    {"reserved", AT_RESERVED, UINT32_MAX, NULL},
    {"reserved, last", AT_NAME - 4, UINT32_MAX, NULL},
};

static void packet_changes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(change_cases); i++) {
        const struct change_case *c = &change_cases[i];
        struct multifd_packet p = packet(false, 2, 1), found;
        uint8_t wire[MULTIFD_PACKET_LEN];
        struct error err;

        multifd_packet_encode(&p, wire);
        put32(wire + c->at, c->value);
        int rc = decode(wire, &found, &err);
        if (c->refused)
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
        else
            OK(rc, err, c->label);
    }
}

static void names_end(void **state)
{
    struct multifd_packet p = packet(false, 1, 0), found;
    uint8_t wire[MULTIFD_PACKET_LEN];
    struct error err;

    (void)state;
    memset(p.block, 'n', 255);
    multifd_packet_encode(&p, wire);
    OK(decode(wire, &found, &err), err, "255 bytes");
    assert_string_equal(found.block, p.block);
    wire[AT_NAME + 255] = 'n';
    check_refused("256 bytes", decode(wire, &found, &err), &err, ERR_PEER,
                  "RAM block name without its terminator");
    put32(wire + AT_NORMAL, 0);
    OK(decode(wire, &found, &err), err, "without pages the name means nothing");
    put32(wire + AT_FLAGS, 0x07);
    OK(decode(wire, &found, &err), err, "nor does the method");
}

/* --- golden ---------------------------------------------------------------------------------- */

static const char *const channels[] = {
    "v11-multifd-none/c1.fwd",
    "v11-multifd-none/c2.fwd",
    "v11-pc-q35-8.0-per-section/c1.fwd",
    "v11-pc-q35-8.0-per-section/c2.fwd",
    "v11-pc-q35-8.2-legacy-zero/c1.fwd",
    "v11-pc-q35-8.2-legacy-zero/c2.fwd",
    "v11-uuid/c1.fwd",
    "v7-multifd-none/c1.fwd",
    "v7-multifd-none/c2.fwd",
};

/* What a source may leave over from earlier packets, and we write as zero (the capacity as 128). */
static void normalise(uint8_t *wire, const struct multifd_packet *p)
{
    uint32_t n = p->n_normal + p->n_zero;

    put32(wire + AT_CAPACITY, MULTIFD_PAGES);
    memset(wire + 320 + 8 * n, 0, 8 * (MULTIFD_PAGES - n));
    if (n == 0)
        memset(wire + AT_NAME, 0, 256);
    /* Also after the name's terminator. */
    size_t len = strnlen((char *)wire + AT_NAME, 256);
    memset(wire + AT_NAME + len, 0, 256 - len);
}

static void golden_channels(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        struct buf b = golden(channels[i]);
        struct multifd_hello h;
        uint8_t ours[MULTIFD_PACKET_LEN];
        struct error err;
        size_t at = MULTIFD_HELLO_LEN, n = 0, syncs = 0;

        OK(multifd_hello_decode(b.data, &h, &err), err, channels[i]);
        multifd_hello_encode(&h, ours);
        CHECK(memcmp(ours, b.data, MULTIFD_HELLO_LEN) == 0, "%s: hello", channels[i]);
        while (at < b.len) {
            struct multifd_packet p = {0};

            CHECK(b.len - at >= MULTIFD_PACKET_LEN, "%s: ends inside a packet", channels[i]);
            OK(decode(b.data + at, &p, &err), err, channels[i]);
            normalise(b.data + at, &p);
            multifd_packet_encode(&p, ours);
            for (size_t k = 0; k < sizeof(ours); k++)
                CHECK(ours[k] == b.data[at + k], "%s: packet %zu, byte %zu: 0x%02x, QEMU's 0x%02x",
                      channels[i], n, k, ours[k], b.data[at + k]);
            at += MULTIFD_PACKET_LEN + p.n_normal * RAM_PAGE_SIZE;
            syncs += p.sync;
            n++;
        }
        CHECK(at == b.len && syncs > 0, "%s: %zu packets, %zu SYNC", channels[i], n, syncs);
        buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_both_ways),  cmocka_unit_test(hello_refuses),
        cmocka_unit_test(packet_both_ways), cmocka_unit_test(packet_changes),
        cmocka_unit_test(names_end),        cmocka_unit_test(golden_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
