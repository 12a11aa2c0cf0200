/* The RAM section both ways: what ram_save writes, ram_load reads; and what ram_load must
 * refuse. */
#include <inttypes.h>

#include "ram/page_inline.h"
#include "ram/ram_format.h"
#include "ram/ram_list.h"
#include "ram/ram_load.h"
#include "ram/ram_save.h"
#include "stream/configuration.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/memory.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

/* --- loading --------------------------------------------------------------------------------- */

struct load {
    struct ram_load base;
    struct section_loaders loaders; /* it alone */
    struct ram_map map;
    unsigned listed, words, ends;
};

static int on_listed(struct ram_load *load, struct error *err)
{
    struct load *l = (struct load *)load;

    l->listed++;
    return ram_map_anonymous(load->map, err);
}

static int on_barrier(struct ram_load *load, bool word, struct error *err)
{
    struct load *l = (struct load *)load;

    (void)err;
    l->words += word;
    l->ends += !word;
    return 0;
}

static const struct ram_load_ops load_ops = {.listed = on_listed, .barrier = on_barrier};

/* The list only: its blocks have no memory. */
static int on_list_alone(struct ram_load *load, struct error *err)
{
    (void)load;
    (void)err;
    return 0;
}

static const struct ram_load_ops list_ops = {.listed = on_list_alone, .barrier = on_barrier};

static void load_init(struct load *l, const struct ram_load_ops *ops)
{
    *l = (struct load){0};
    ram_load_init(&l->base, ops, &l->map);
    section_loaders_add(&l->loaders, &l->base.base);
}

/* Reads sections until the bytes end, or one is refused. */
static int load_with(struct load *l, const struct ram_load_ops *ops, const void *wire, size_t len,
                     struct error *err)
{
    struct stream_in in;
    int rc = 0;

    bytes_stream_in(&in, wire, len);
    load_init(l, ops);
    while (rc == 0 && stream_in_wait(&in)) {
        struct section s;
        enum stream_element type = (enum stream_element)in_u8(&in);

        section_in_begin(&in, type, &s);
        rc = stream_in_check(&in, err);
        if (rc == 0)
            rc = section_loaders_in(&l->loaders, &s, &in, err);
    }
    bytes_stream_in_done(&in);
    return rc;
}

static int load_all(struct load *l, const void *wire, size_t len, struct error *err)
{
    return load_with(l, &load_ops, wire, len, err);
}

static void load_done(struct load *l)
{
    ram_load_done(&l->base);
    ram_map_done(&l->map);
}

/* --- both ways ------------------------------------------------------------------------------- */

static const struct style_case {
    const char *label;
    enum ram_flush flush;
    unsigned words; /* FLUSH words of three sections */
} style_cases[] = {
    {"no channels", RAM_FLUSH_NONE, 0},
    {"flush word", RAM_FLUSH_WORD, 3},
    {"per section", RAM_FLUSH_SECTION, 0},
};

static void save_and_load(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(style_cases); i++) {
        const struct style_case *c = &style_cases[i];
        const struct channel_stats *stats;
        struct channel_traffic beside;
        struct ram_map map = {0};
        struct page_sink *sink;
        struct ram_round round;
        struct bytes_out o;
        struct load l;
        struct error err;

        memory_add(&map, "pc.ram", 1500, false);
        memory_add(&map, "/rom@etc/acpi/tables", 32, false);
        for (size_t b = 0; b < map.n; b++)
            memory_fill(&map.blocks[b], (unsigned)b, true);
        bytes_out_init(&o);
        OK(page_inline_new(&o.out, &sink, &err), err, c->label);
        OK(ram_round_init(&round, &map, true, NULL, &err), err, c->label);
        struct ram_save save = {
            .base = {.ops = &ram_saver_ops, .kind = &ram_section, .id = 9},
            .map = &map,
            .round = &round,
            .sink = sink,
            .flush = c->flush,
        };
        const struct section_savers savers = {&save.base};
        OK(section_savers_out(&savers, STREAM_SECTION_START, &o.out, &err), err, c->label);
        round_set_all(&round);
        CHECK(section_savers_pending(&savers) == (1500 + 32) * RAM_PAGE_SIZE, "%s: pending",
              c->label);
        OK(section_savers_out(&savers, STREAM_SECTION_PART, &o.out, &err), err, c->label);
        CHECK(section_savers_pending(&savers) == 0, "%s: something is left", c->label);
        /* Meanwhile one page has become zero, one has got contents, and one is announced as
         * zero. */
        memset(map.blocks[0].host, 0, RAM_PAGE_SIZE);
        map.blocks[1].host[RAM_PAGE_SIZE] = 1;
        memset(map.blocks[1].host + 3 * RAM_PAGE_SIZE, 0, RAM_PAGE_SIZE);
        dirty_bitmap_set(&round.dirty[0], 0);
        dirty_bitmap_set(&round.dirty[1], 1);
        dirty_bitmap_set(&round.zeros[1], 3);
        OK(section_savers_out(&savers, STREAM_SECTION_END, &o.out, &err), err, c->label);
        stats = sink->ops->stats(sink, 0, &beside);
        CHECK(stats->normal == 1000 + 21 + 1 && stats->zero == 500 + 11 + 1,
              "%s: %" PRIu64 " pages and %" PRIu64 " zero", c->label, (uint64_t)stats->normal,
              (uint64_t)stats->zero);
        CHECK(sink->n_channels == 0 && beside.bytes == 0, "%s: all of it is the main stream's",
              c->label);
        struct buf wire = bytes_out_take(&o);
        OK(load_all(&l, wire.data, wire.len, &err), err, c->label);
        memory_check_equal(c->label, &map, &l.map);
        CHECK(l.listed == 1 && l.ends == 3 && l.words == c->words, "%s: %u words, %u ends",
              c->label, l.words, l.ends);
        CHECK(l.base.flush_words == (c->words > 0), "%s: %u flush words", c->label,
              (unsigned)l.base.flush_words);
        CHECK(l.base.normal == stats->normal && l.base.zero == stats->zero + 1,
              "%s: counted otherwise", c->label);
        CHECK(l.base.base.id == 9, "%s: section id", c->label);
        load_done(&l);
        sink->ops->free(sink);
        ram_round_done(&round);
        ram_map_done(&map);
        buf_done(&wire);
    }
}

/* The start section that a QEMU writes, byte for byte. */
static void start_as_qemu_writes_it(void **state)
{
    static const char want[] =
        "\1\0\0\0\2\3ram\0\0\0\0\0\0\0\4\0\0\0\0\0\0\40\4\1m\0\0\0\0\0\0\20\0"
        "\2ab\0\0\0\0\0\0\20\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0\20\x7e\0\0\0\2";
    struct ram_map map = {0};
    struct page_sink *sink;
    struct bytes_out o;
    struct error err;

    (void)state;
    memory_add(&map, "m", 1, false);
    memory_add(&map, "ab", 1, false);
    bytes_out_init(&o);
    OK(page_inline_new(&o.out, &sink, &err), err, "sink");
    struct ram_save save = {
        .base = {.ops = &ram_saver_ops, .kind = &ram_section, .id = 2},
        .map = &map,
        .sink = sink,
        .flush = RAM_FLUSH_WORD,
    };
    const struct section_savers savers = {&save.base};
    OK(section_savers_out(&savers, STREAM_SECTION_START, &o.out, &err), err, "start");
    struct buf wire = bytes_out_take(&o);
    CHECK(wire.len == sizeof(want) - 1 && memcmp(wire.data, want, wire.len) == 0, "otherwise");
    buf_done(&wire);
    sink->ops->free(sink);
    ram_map_done(&map);
}

/* --- lists with addresses -------------------------------------------------------------------- */

#define FOUR_GIB (UINT64_C(4) << 30)

/* Three blocks: one that travels, one that is ignored, one that is not listed. */
static void make_mixed(struct ram_map *map)
{
    memory_add(map, "pc.ram", 3, false);
    memory_add(map, "mem1", 2, false)->address = FOUR_GIB;
    memory_add(map, "secret", 1, false);
    map->blocks[1].travel = RAM_IGNORED;
    map->blocks[2].travel = RAM_NOT_LISTED;
    map->total_bytes = 5 * RAM_PAGE_SIZE;
}

static void list_with_addresses(void **state)
{
    static const char want[] = "\0\0\0\0\0\0\x50\4"
                               "\6pc.ram\0\0\0\0\0\0\x30\0\0\0\0\0\0\0\0\0"
                               "\4mem1\0\0\0\0\0\0\x20\0\0\0\0\1\0\0\0\0";
    struct ram_map map = {0}, found = {0};
    struct stream_in in;
    struct bytes_out o;
    struct error err;

    (void)state;
    make_mixed(&map);
    bytes_out_init(&o);
    ram_list_out(&o.out, &map, true, NULL);
    struct buf wire = bytes_out_take(&o);
    CHECK(wire.len == sizeof(want) - 1 && memcmp(wire.data, want, wire.len) == 0, "otherwise");
    bytes_stream_in(&in, wire.data + 8, wire.len - 8);
    OK(ram_list_in(&in, map.total_bytes, &found, true, 0, NULL, &err), err, "read");
    CHECK(found.n == 2 && found.blocks[0].address == 0 && found.blocks[1].address == FOUR_GIB &&
              found.blocks[1].used_bytes == 2 * RAM_PAGE_SIZE,
          "read otherwise");
    CHECK(found.blocks[1].travel == RAM_TRAVELS, "a stream's list does not say who is ignored");
    bytes_stream_in_done(&in);
    for (size_t len = 0; len < wire.len - 8; len++) {
        struct ram_map cut = {0};

        bytes_stream_in(&in, wire.data + 8, len);
        CHECK(ram_list_in(&in, map.total_bytes, &cut, true, 0, NULL, &err) < 0, "cut at %zu", len);
        bytes_stream_in_done(&in);
        ram_map_done(&cut);
    }
    buf_done(&wire);
    ram_map_done(&found);
    ram_map_done(&map);
}

static uint64_t be64_at(const struct buf *b, size_t at)
{
    uint64_t value = 0;

    for (size_t i = 0; i < 8; i++)
        value = value << 8 | (uint8_t)b->data[at + i];
    return value;
}

/* As QEMU 11.1 writes it, an ignored block takes no space in the file: the next block
 * follows at once. */
static void mapped_list_with_an_ignored_block(void **state)
{
    /* The ignored block has no bytes anywhere: only the next header follows the
     * first block's pages. */
    static const struct mapped_ram places[] = {{64, 4096}, {20480, 24576}, {20480, 24576}};
    static const size_t header = 4096 + 3 * RAM_PAGE_SIZE + 5 + 8 + 8 + 4 + 8;
    struct mapped_ram *mapped = NULL;
    struct ram_map map = {0}, found = {0};
    struct stream_in in;
    struct bytes_out o;
    struct error err;

    (void)state;
    make_mixed(&map);
    map.blocks[2].travel = RAM_TRAVELS;
    map.total_bytes += map.blocks[2].used_bytes;
    bytes_out_init(&o);
    ram_list_out(&o.out, &map, true, places);
    out_u64(&o.out, RAM_RECORD_EOS);
    struct buf wire = bytes_out_take(&o);
    CHECK(wire.len == 24576 + RAM_PAGE_SIZE + 8, "%zu bytes", wire.len);
    CHECK(be64_at(&wire, header) == 0 && be64_at(&wire, header + 8) == 0, "it has a place");
    CHECK(memcmp(wire.data + header + 16, "\6secret", 7) == 0, "the next is elsewhere");
    bytes_stream_in(&in, wire.data, wire.len);
    in_skip(&in, 8);
    OK(ram_list_in(&in, map.total_bytes, &found, true, wire.len, &mapped, &err), err, "read");
    for (size_t i = 0; i < 3; i++)
        CHECK(found.blocks[i].travel == map.blocks[i].travel, "block %zu", i);
    CHECK(mapped[0].pages_offset == 4096 && mapped[2].pages_offset == 24576, "other places");
    CHECK(in_u64(&in) == RAM_RECORD_EOS, "goes on elsewhere");
    free(mapped);
    bytes_stream_in_done(&in);
    ram_map_done(&found);
    buf_done(&wire);
    ram_map_done(&map);
}

/* Lists that QEMUs write with x-ignore-shared: read, and written again byte for byte. */
static const struct golden_list {
    const char *name, *machine;
} golden_lists[] = {
    {"lists/v7-ignore-shared.fwd", "pc-q35-7.2"},
    {"lists/v10-ignore-shared.fwd", "pc-q35-10.0"},
    {"lists/v11-ignore-shared.fwd", "pc-q35-11.1"},
};

static const struct {
    const char *name;
    uint64_t bytes, address;
} golden_blocks[] = {
    {"m", 16 << 20, 0},
    {"/rom@etc/acpi/tables", 128 << 10, 0},
    {"pc.rom", 128 << 10, 0xc0000},
    {"pc.bios", 64 << 10, 0xffff0000},
    {"/rom@etc/table-loader", 4096, 0},
    {"/rom@etc/acpi/rsdp", 4096, 0},
};

static void write_again(const char *label, const struct configuration *c, const struct section *s,
                        const struct ram_map *map, const struct buf *want)
{
    struct bytes_out o;

    bytes_out_init(&o);
    configuration_out(&o.out, c);
    section_out_begin(&o.out, s);
    ram_list_out(&o.out, map, c->capabilities & STREAM_CAP_X_IGNORE_SHARED, NULL);
    out_u64(&o.out, RAM_RECORD_EOS);
    section_out_end(&o.out, s);
    struct buf wire = bytes_out_take(&o);
    CHECK(wire.len == want->len && memcmp(wire.data, want->data, wire.len) == 0, "%s: otherwise",
          label);
    buf_done(&wire);
}

static void lists_of_qemus(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(golden_lists); i++) {
        const char *label = golden_lists[i].name;
        struct buf wire = golden(label);
        struct configuration config;
        struct stream_in in;
        struct section s;
        struct load l;
        struct error err;

        bytes_stream_in(&in, wire.data, wire.len);
        configuration_in(&in, &config);
        section_in_begin(&in, (enum stream_element)in_u8(&in), &s);
        OK(stream_in_check(&in, &err), err, label);
        CHECK(strcmp(config.machine, golden_lists[i].machine) == 0 &&
                  config.capabilities == STREAM_CAP_X_IGNORE_SHARED,
              "%s: another configuration", label);
        load_init(&l, &list_ops);
        l.base.addresses = true;
        OK(section_loaders_in(&l.loaders, &s, &in, &err), err, label);
        CHECK(l.map.n == ARRAY_LEN(golden_blocks), "%s: %zu blocks", label, l.map.n);
        for (size_t b = 0; b < l.map.n; b++)
            CHECK(strcmp(l.map.blocks[b].name, golden_blocks[b].name) == 0 &&
                      l.map.blocks[b].used_bytes == golden_blocks[b].bytes &&
                      l.map.blocks[b].address == golden_blocks[b].address,
                  "%s: block %s", label, l.map.blocks[b].name);
        write_again(label, &config, &s, &l.map, &wire);
        bytes_stream_in_done(&in);
        load_done(&l);
        buf_done(&wire);
    }
}

/* Without x-ignore-shared, places of 0 are real places, and would overwrite the stream's start. */
static void nobody_is_ignored_unasked(void **state)
{
    static const char list[] = "\1m\0\0\0\0\0\0\x10\0"
                               "\0\0\0\1\0\0\0\0\0\0\x10\0"
                               "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    struct mapped_ram *mapped = NULL;
    struct ram_map found = {0};
    struct stream_in in;
    struct error err;

    (void)state;
    bytes_stream_in(&in, list, sizeof(list) - 1);
    int rc = ram_list_in(&in, RAM_PAGE_SIZE, &found, false, sizeof(list) - 1, &mapped, &err);
    CHECK(rc < 0 || found.blocks[0].travel == RAM_TRAVELS, "it is ignored");
    free(mapped);
    bytes_stream_in_done(&in);
    ram_map_done(&found);
}

/* --- what must be refused -------------------------------------------------------------------- */

#define START      "\1\0\0\0\1\3ram\0\0\0\0\0\0\0\4"
#define LIST       "\0\0\0\0\0\0\40\4\1m\0\0\0\0\0\0\40\0" /* one block, two pages */
#define EOS        "\0\0\0\0\0\0\0\20"
#define FOOT       "\x7e\0\0\0\1"
#define GOOD       START LIST EOS FOOT
#define PART       "\2\0\0\0\1"
#define ZERO(o)    "\0\0\0\0\0\0" o "\2\1m\0"
#define WIRE(text) text, sizeof(text) - 1

static const struct bad_case {
    const char *label, *wire;
    size_t len;
    const char *refused; /* NULL: it passes */
} bad_cases[] = {
    {"good", WIRE(GOOD), NULL},
    {"hook is nothing", WIRE(GOOD PART "\0\0\0\0\0\0\0\x80" EOS FOOT), NULL},
    {"flush without channels", WIRE(GOOD PART "\0\0\0\0\0\0\2\0" EOS FOOT), NULL},
    {"version 3", WIRE("\1\0\0\0\1\3ram\0\0\0\0\0\0\0\3"), "RAM section: version 3, expected 4"},
    {"version 5", WIRE("\1\0\0\0\1\3ram\0\0\0\0\0\0\0\5"), "RAM section: version 5, expected 4"},
    {"instance 1", WIRE("\1\0\0\0\1\3ram\0\0\0\1\0\0\0\4"), "RAM section: instance 1, expected 0"},
    {"no list", WIRE(START EOS FOOT), "starts without its block list"},
    {"part before start", WIRE(PART EOS FOOT), "section id 1: never started"},
    {"part of another id", WIRE(GOOD "\2\0\0\0\2" EOS "\x7e\0\0\0\2"),
     "section id 2: never started"},
    {"a second start", WIRE(GOOD START), "a second RAM section start, expected one"},
    {"a second list", WIRE(START LIST LIST), "RAM block list: a second one"},
    {"list in a part", WIRE(GOOD PART LIST), "RAM block list: outside the section's start"},
    {"an empty list", WIRE(START "\0\0\0\0\0\0\0\4" EOS FOOT), "total 0"},
    {"total too small", WIRE(START "\0\0\0\0\0\0\20\4\1m\0\0\0\0\0\0\40\0"),
     "total 0x1000, the blocks have 0x2000"},
    {"total too large", WIRE(START "\0\0\0\0\0\0\60\4\1m\0\0\0\0\0\0\40\0" EOS), "RAM block list"},
    {"a block twice", WIRE(START "\0\0\0\0\0\0\60\4\1m\0\0\0\0\0\0\20\0\1m\0\0\0\0\0\0\40\0"),
     "listed twice"},
    {"a block of nothing", WIRE(START "\0\0\0\0\0\0\40\4\1m\0\0\0\0\0\0\0\0"), "length 0x0"},
    {"an unaligned block", WIRE(START "\0\0\0\0\0\0\40\4\1m\0\0\0\0\0\0\40\1"), "length 0x2001"},
    {"a huge block", WIRE(START "\0\0\0\0\0\0\40\4\1m\xff\xff\xff\xff\xff\xff\xf0\0"),
     "length 0xfffffffffffff000"},
    {"a block without a name", WIRE(START "\0\0\0\0\0\0\40\4\0\0\0\0\0\0\0\40\0"),
     "a name of 0 bytes"},
    {"a name with an escape", WIRE(START "\0\0\0\0\0\0\40\4\1\33\0\0\0\0\0\0\40\0"),
     "holds byte 0x1b"},
    {"zero page", WIRE(GOOD PART ZERO("\20") EOS FOOT), NULL},
    {"fill byte 1", WIRE(GOOD PART "\0\0\0\0\0\0\0\2\1m\1"),
     "ZERO record: fill byte 0x01, expected 0"},
    {"continue before any name", WIRE(GOOD PART "\0\0\0\0\0\0\0\x22\0"),
     "CONTINUE before any RAM block was named"},
    {"continue over sections",
     WIRE(GOOD PART ZERO("\0") EOS FOOT PART "\0\0\0\0\0\0\20\x22\0" EOS FOOT), NULL},
    {"offset at the end", WIRE(GOOD PART ZERO("\40")), "offset 0x2000, expected at most 0x1000"},
    {"offset far behind", WIRE(GOOD PART "\xff\xff\xff\xff\xff\xff\xf0\2\1m\0"),
     "offset 0xfffffffffffff000"},
    {"unknown block", WIRE(GOOD PART "\0\0\0\0\0\0\0\2\1n\0"), "RAM block 'n' is not in the list"},
    {"page before the list", WIRE(START "\0\0\0\0\0\0\0\2\1m\0"),
     "RAM block 'm' is not in the list"},
    {"flags 0", WIRE(GOOD PART "\0\0\0\0\0\0\0\0"), "flags 0x000, not a record"},
    {"flags 1", WIRE(GOOD PART "\0\0\0\0\0\0\0\1"), "flags 0x001"},
    {"zero and page", WIRE(GOOD PART "\0\0\0\0\0\0\0\12"), "flags 0x00a"},
    {"continue alone", WIRE(GOOD PART "\0\0\0\0\0\0\0\40"), "flags 0x020"},
    {"flush with continue", WIRE(GOOD PART "\0\0\0\0\0\0\2\40"), "flags 0x220"},
    {"flags 0x400", WIRE(GOOD PART "\0\0\0\0\0\0\4\0"), "flags 0x400"},
    {"flags 0x800", WIRE(GOOD PART "\0\0\0\0\0\0\10\0"), "flags 0x800"},
    {"xbzrle", WIRE(GOOD PART "\0\0\0\0\0\0\0\100\1m\1\0\0"), "xbzrle record"},
    {"compressed page", WIRE(GOOD PART "\0\0\0\0\0\0\1\0\1m\0\0\0\0"), "compress record"},
    {"footer of another id", WIRE(START LIST EOS "\x7e\0\0\0\2"),
     "section footer: id 2, expected 1"},
    {"no footer", WIRE(START LIST EOS "\2\0\0\0\1"), "section footer: found byte 0x02"},
    {"EOS with an offset", WIRE(GOOD PART "\0\0\0\0\0\0\20\20" FOOT), NULL},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct load l;
        struct error err;
        int rc = load_all(&l, c->wire, c->len, &err);

        if (c->refused)
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
        else
            OK(rc, err, c->label);
        load_done(&l);
    }
}

/* No page of a block that does not travel may arrive, in whatever form (B4). */
static int list_as_ignored(struct ram_load *load, struct error *err)
{
    int rc = on_listed(load, err);

    load->map->blocks[0].travel = RAM_IGNORED;
    return rc;
}

static const struct ignored_case {
    const char *label, *wire;
    size_t len;
    bool passes;
} ignored_cases[] = {
    {"nothing of it", WIRE(GOOD PART EOS FOOT), true},
    {"a zero page", WIRE(GOOD PART ZERO("\20")), false},
    {"a page", WIRE(GOOD PART "\0\0\0\0\0\0\20\10\1m"), false},
    {"a page, and behind its end", WIRE(GOOD PART "\0\0\0\0\0\0\40\10\1m"), false},
};

static void nothing_of_an_ignored_block(void **state)
{
    static const struct ram_load_ops ops = {.listed = list_as_ignored, .barrier = on_barrier};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ignored_cases); i++) {
        const struct ignored_case *c = &ignored_cases[i];
        struct load l;
        struct error err;
        int rc = load_with(&l, &ops, c->wire, c->len, &err);

        if (c->passes)
            OK(rc, err, c->label);
        else
            check_refused(c->label, rc, &err, ERR_PEER,
                          "RAM block 'm': a page of it, expected none");
        load_done(&l);
    }
}

static void cut_at_every_byte(void **state)
{
    static const char wire[] = GOOD PART ZERO("\20") EOS FOOT;
    static const size_t good = sizeof(GOOD) - 1;

    (void)state;
    for (size_t len = 1; len < sizeof(wire) - 1; len++) {
        struct load l;
        struct error err;
        int rc = load_all(&l, wire, len, &err);

        CHECK((rc == 0) == (len == good), "cut at %zu: %s", len, rc ? err.text : "accepted");
        load_done(&l);
    }
}

static void pages_of_a_page_record(void **state)
{
    static const char head[] = GOOD PART "\0\0\0\0\0\0\20\10\1m", tail[] = EOS FOOT;
    uint8_t wire[sizeof(head) + RAM_PAGE_SIZE + sizeof(tail)];
    size_t len = sizeof(head) - 1;
    struct load l;
    struct error err;

    (void)state;
    memcpy(wire, head, len);
    memset(wire + len, 0x77, RAM_PAGE_SIZE);
    len += RAM_PAGE_SIZE;
    for (size_t cut = len - RAM_PAGE_SIZE; cut < len; cut += 511) {
        CHECK(load_all(&l, wire, cut, &err) < 0, "cut at %zu: accepted", cut);
        load_done(&l);
    }
    memcpy(wire + len, tail, sizeof(tail) - 1);
    OK(load_all(&l, wire, len + sizeof(tail) - 1, &err), err, "page");
    CHECK(l.map.blocks[0].host[RAM_PAGE_SIZE] == 0x77 && l.map.blocks[0].host[0] == 0 &&
              ram_page_present(&l.map.blocks[0], 1) && !ram_page_present(&l.map.blocks[0], 0),
          "elsewhere");
    load_done(&l);
}

/* --- a mapped-ram file ----------------------------------------------------------------------- */

/* No two things in the file overlap, and pages are where a reader looks for them. */
static void mapped_layout(void **state)
{
    static const struct {
        uint64_t pages;
        enum ram_travel travel;
    } blocks[] = {
        {3000, RAM_TRAVELS},
        {1, RAM_TRAVELS},
        {513, RAM_IGNORED},
        {UINT64_C(1) << 30, RAM_IGNORED},
        {64, RAM_TRAVELS},
        {UINT64_C(1) << 30, RAM_NOT_LISTED},
        {UINT64_C(1) << 22, RAM_TRAVELS},
    };
    struct mapped_ram mapped[ARRAY_LEN(blocks)];
    struct ram_map map = {0};
    struct error err;
    char name[RAM_BLOCK_NAME];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) { /* the longest names that are allowed */
        memset(name, 'a' + (int)i, sizeof(name) - 1);
        name[sizeof(name) - 1] = 0;
        OK(ram_map_add(&map, name, blocks[i].pages << RAM_PAGE_BITS, &err), err, "block");
        map.blocks[i].travel = blocks[i].travel;
    }
    for (uint64_t at = 0; at < UINT64_C(1) << 40; at = at * 4 + 1000) {
        uint64_t end = at, last = mapped_ram_layout(&map, at, mapped), pages_end = 0;

        for (size_t i = 0; i < map.n; i++) {
            const struct mapped_ram *m = &mapped[i];

            end += blocks[i].travel == RAM_NOT_LISTED ? 0 : 256 + 8 + 8 + 28;
            if (blocks[i].travel != RAM_TRAVELS) {
                CHECK(m->bitmap_offset == 0 && m->pages_offset == 0, "block %zu: a place", i);
                continue;
            }
            CHECK(m->bitmap_offset >= end, "block %zu: bitmap over its header", i);
            CHECK(m->pages_offset >= m->bitmap_offset + (blocks[i].pages + 63) / 64 * 8,
                  "block %zu: pages over the bitmap", i);
            CHECK(IS_ALIGNED(m->pages_offset, UINT64_C(1) << 20), "block %zu: not aligned", i);
            end = pages_end = m->pages_offset + blocks[i].pages * RAM_PAGE_SIZE;
        }
        CHECK(last == pages_end, "pages end at %" PRIu64 ", not %" PRIu64, pages_end, last);
    }
    ram_map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapped_layout),
        cmocka_unit_test(save_and_load),
        cmocka_unit_test(start_as_qemu_writes_it),
        cmocka_unit_test(list_with_addresses),
        cmocka_unit_test(mapped_list_with_an_ignored_block),
        cmocka_unit_test(nobody_is_ignored_unasked),
        cmocka_unit_test(lists_of_qemus),
        cmocka_unit_test(refuses),
        cmocka_unit_test(nothing_of_an_ignored_block),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(pages_of_a_page_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
