/* The main stream over golden captures: whole ones parse; ones that are cut, changed or
 * lengthened do not. */
#include "migration/main_stream.h"

#include "stream/configuration.h"
#include "stream/description.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/memory.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

static int on_configured(struct main_stream *ms, struct error *err)
{
    (void)ms;
    (void)err;
    return 0;
}

static const struct main_stream_ops stream_ops = {.configured = on_configured};

struct loaded {
    struct main_stream ms;
    struct ram_load ram;
    struct ram_map map;
    uint64_t end; /* where reading stopped */
};

static int load(struct loaded *l, const void *bytes, size_t len, struct error *err)
{
    struct stream_in in;

    bytes_stream_in(&in, bytes, len);
    *l = (struct loaded){.ms = {.ops = &stream_ops, .in = &in}};
    ram_load_init(&l->ram, &memory_load_ops, &l->map);
    section_loaders_add(&l->ms.loaders, &l->ram.base);
    int rc = main_stream_read(&l->ms, err);
    l->end = in.offset;
    bytes_stream_in_done(&in);
    return rc;
}

static void load_done(struct loaded *l)
{
    main_stream_done(&l->ms);
    ram_load_done(&l->ram);
    ram_map_done(&l->map);
}

static const struct golden_case {
    const char *name, *machine;
    bool uuid;
    uint64_t normal, zero; /* pages in the main stream itself */
} golden_cases[] = {
    {"v11-main/c0.fwd", "pc-q35-11.1", false, 46, 4132},
    {"v11-multifd-none/c0.fwd", "pc-q35-11.1", false, 0, 0},
    {"v11-multifd-zlib/c0.fwd", "pc-q35-11.1", false, 0, 0},
    {"v11-multifd-zstd/c0.fwd", "pc-q35-11.1", false, 0, 0},
    {"v11-pc-q35-8.0-per-section/c0.fwd", "pc-q35-8.0", false, 0, 4132},
    {"v11-pc-q35-8.2-legacy-zero/c0.fwd", "pc-q35-8.2", false, 0, 4132},
    {"v11-postcopy-advised/c0.fwd", "pc-q35-11.1", false, 46, 4132},
    {"v11-uuid/c0.fwd", "pc-q35-11.1", true, 0, 0},
    {"v7-multifd-none/c0.fwd", "pc-q35-7.2", false, 0, 4132},
    {"v7-multifd-zlib/c0.fwd", "pc-q35-7.2", false, 0, 4132},
};

static void every_capture_parses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(golden_cases); i++) {
        const struct golden_case *c = &golden_cases[i];
        struct buf b = golden(c->name);
        struct loaded l;
        struct error err;

        OK(load(&l, b.data, b.len, &err), err, c->name);
        CHECK(l.end == b.len, "%s: %llu of %zu bytes", c->name, (unsigned long long)l.end, b.len);
        CHECK(strcmp(l.ms.config.machine, c->machine) == 0, "%s: machine %s", c->name,
              l.ms.config.machine);
        CHECK(l.ms.config.has_uuid == c->uuid, "%s: UUID", c->name);
        CHECK(l.map.n == 6 && strcmp(l.map.blocks[0].name, "m") == 0 &&
                  l.map.blocks[0].used_bytes == 16 << 20,
              "%s: %zu blocks", c->name, l.map.n);
        CHECK(l.ram.normal == c->normal && l.ram.zero == c->zero, "%s: %llu pages, %llu zero",
              c->name, (unsigned long long)l.ram.normal, (unsigned long long)l.ram.zero);
        load_done(&l);
        buf_done(&b);
    }
}

/* Our header and configuration are the same bytes as QEMU's. */
static void configuration_as_qemu_writes_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(golden_cases); i++) {
        struct buf b = golden(golden_cases[i].name);
        struct bytes_out o;
        struct loaded l;
        struct error err;

        OK(load(&l, b.data, b.len, &err), err, golden_cases[i].name);
        bytes_out_init(&o);
        configuration_out(&o.out, &l.ms.config);
        struct buf ours = bytes_out_take(&o);
        CHECK(memcmp(ours.data, b.data, ours.len) == 0, "%s: ours differs", golden_cases[i].name);
        buf_done(&ours);
        load_done(&l);
        buf_done(&b);
    }
}

/* Every cut is noticed: all cuts near the borders between parts, and a sample of the rest. */
static void cut_captures_are_refused(void **state)
{
    struct buf b = golden("v11-multifd-none/c0.fwd");

    (void)state;
    for (size_t len = 0; len < b.len; len += len < 600 || b.len - len < 64 ? 1 : 487) {
        struct loaded l;
        struct error err;

        CHECK(load(&l, b.data, len, &err) < 0 && err.kind == ERR_PEER, "cut at %zu: accepted", len);
        load_done(&l);
    }
    buf_done(&b);
}

static const struct flip_case {
    const char *label;
    size_t at;
    uint8_t with;
    const char *refused;
} flip_cases[] = {
    {"magic", 0, 1, "stream magic"},
    {"version", 7, 1, "stream version: found 2"},
    {"configuration", 8, 1, "expected the configuration"},
    {"machine name's length", 12, 0x10, "machine type: holds byte 0x01"},
    {"section type", 24, 0x40, "element 0x41"},
    {"section name", 30, 1, "iterates, expected only 'ram'"},
    {"section version", 40, 1, "RAM section: version 5"},
    {"total", 44, 1, "RAM block"},
    {"block length", 46, 0x10, "RAM block"},
};

static void flips_are_refused(void **state)
{
    struct buf b = golden("v11-main/c0.fwd");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(flip_cases); i++) {
        const struct flip_case *c = &flip_cases[i];
        struct loaded l;
        struct error err;

        b.data[c->at] ^= c->with;
        check_refused(c->label, load(&l, b.data, b.len, &err), &err, ERR_PEER, c->refused);
        b.data[c->at] ^= c->with;
        load_done(&l);
    }
    buf_done(&b);
}

/* In the device tail: names, footers, the description's sizes. */
static void flips_in_the_tail_are_refused(void **state)
{
    struct buf b = golden("v11-multifd-none/c0.fwd");
    struct loaded l;
    struct error err;
    size_t json, from;

    (void)state;
    OK(load(&l, b.data, b.len, &err), err, "as it is");
    assert_true(description_ends(&l.ms.devices.tail, &json));
    size_t tail = l.ms.devices.tail.len, start = b.len - tail;
    load_done(&l);
    const struct {
        const char *label;
        size_t at;
        uint8_t with;
    } cases[] = {
        {"first device's type", start, 0x01},
        {"first device's name", start + 6, 0x01},
        {"last footer", b.len - (tail - json) - 6 - 5, 0x01},
        {"EOF byte", b.len - (tail - json) - 6, 0x01},
        {"description's type", b.len - (tail - json) - 5, 0x01},
        {"description's length", b.len - (tail - json) - 1, 0x01},
        {"description's first byte", b.len - (tail - json), 0x01},
        {"description's last byte", b.len - 1, 0x01},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        b.data[cases[i].at] ^= cases[i].with;
        CHECK(load(&l, b.data, b.len, &err) < 0, "%s: accepted", cases[i].label);
        b.data[cases[i].at] ^= cases[i].with;
        load_done(&l);
    }
    /* The last size in the description. */
    for (from = b.len - 8; memcmp(b.data + from, "\"size\": ", 8) != 0; from--)
        ;
    b.data[from + 8] = b.data[from + 8] == '9' ? '1' : (uint8_t)(b.data[from + 8] + 1);
    check_refused("a size", load(&l, b.data, b.len, &err), &err, ERR_PEER, "after the");
    load_done(&l);
    buf_done(&b);
}

/* Bytes after the end are not checked; bytes in the middle are. */
static void longer_captures(void **state)
{
    struct buf b = golden("v11-multifd-none/c0.fwd");
    uint8_t *longer = malloc(b.len + 1);
    struct loaded l;
    struct error err;

    (void)state;
    for (size_t at = 1; at < b.len; at += at < 200 || b.len - at < 16 ? 1 : 991) {
        memcpy(longer, b.data, at);
        longer[at] = 0x5a;
        memcpy(longer + at + 1, b.data + at, b.len - at);
        CHECK(load(&l, longer, b.len + 1, &err) < 0, "one byte more at %zu: accepted", at);
        load_done(&l);
    }
    free(longer);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_capture_parses),
        cmocka_unit_test(configuration_as_qemu_writes_it),
        cmocka_unit_test(cut_captures_are_refused),
        cmocka_unit_test(flips_are_refused),
        cmocka_unit_test(flips_in_the_tail_are_refused),
        cmocka_unit_test(longer_captures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
