/* Captures, written by a target and read by a machine: the round trip, and damaged files. */
#include "capture/machine_snapshot.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "capture/snapshot_stream.h"
#include "capture/target.h"
#include "ram/page_place.h"
#include "ram/resident.h"
#include "stream/description.h"
#include "stream/stream_format.h"
#include "tests/support/memory.h"
#include "tests/support/move.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

#define BLOCKS 3

static const struct {
    const char *name;
    uint64_t pages;
} blocks[BLOCKS] = {{"pc.ram", 700}, {"/rom@etc/acpi/tables", 33}, {"100%/a", 64}};

static int snapshot_file(const char *path, struct machine **ret, struct error *err)
{
    char text[PATH_MAX + 8];
    struct address from;

    snprintf(text, sizeof(text), "file:%s", path);
    return address_parse(text, &from, err) < 0
               ? -1
               : machine_snapshot_file(&from, PAGES_LOADED, ret, err);
}

static struct configuration config_of(void)
{
    return (struct configuration){.machine = "pc-q35-11.1", .has_uuid = true, .uuid = {{1, 2, 3}}};
}

/* The source of a capture. */
struct source {
    struct ram_map map;
    struct device_state devices;
};

static void source_init(struct source *s)
{
    struct error err;

    *s = (struct source){0};
    for (size_t i = 0; i < BLOCKS; i++)
        memory_fill(memory_add(&s->map, blocks[i].name, blocks[i].pages, false), (unsigned)i, true);
    OK(description_append(&s->devices.tail, NULL, &err), err, "description");
}

static void source_done(struct source *s)
{
    ram_map_done(&s->map);
    device_state_done(&s->devices);
}

/* Writes every page that has contents, as a migration does. */
static void land(struct target *l, const struct source *s)
{
    const struct configuration config = config_of();
    struct ram_map map = {0};
    struct error err;

    for (size_t i = 0; i < BLOCKS; i++)
        OK(ram_map_add(&map, blocks[i].name, blocks[i].pages * RAM_PAGE_SIZE, &err), err, "add");
    OK(l->ops->listed(l, &config, &s->devices, &map, &err), err, "listed");
    for (size_t i = 0; i < BLOCKS; i++) {
        for (uint64_t page = 0; page < blocks[i].pages; page++) {
            uint64_t at = page << RAM_PAGE_BITS;

            if (page % 3 == 1 && page % 2)
                continue; /* never comes */
            OK(page_place_write(&map.blocks[i], at, s->map.blocks[i].host + at, RAM_PAGE_SIZE,
                                &err),
               err, "write");
            if (page % 3 == 1)
                OK(page_place_zero(&map.blocks[i], at, &err), err, "zero");
        }
    }
    OK(target_prepare(l, &config, &map, &s->devices, &err), err, "prepare");
    OK(target_commit(l, &err), err, "commit");
    ram_map_done(&map);
    target_free(l);
}

static void check_machine(const char *label, struct machine *m, const struct source *s, bool sparse)
{
    struct error err;

    CHECK(strcmp(m->config.machine, "pc-q35-11.1") == 0 && m->config.has_uuid &&
              m->config.uuid.bytes[2] == 3 && m->config.capabilities == 0,
          "%s: another configuration", label);
    CHECK(m->devices.tail.len == s->devices.tail.len, "%s: another tail", label);
    memory_check_equal(label, &s->map, &m->ram);
    for (size_t i = 0; sparse && i < m->ram.n; i++) {
        struct dirty_bitmap d;
        uint64_t pages = ram_block_pages(&m->ram.blocks[i]);

        OK(dirty_bitmap_init(&d, pages, &err), err, label);
        OK(ram_resident(&m->ram.blocks[i], &d, &err), err, label);
        CHECK(dirty_bitmap_count(&d) == pages - (pages + 1) / 3,
              "%s: %" PRIu64 " of %" PRIu64 " pages are there", label, dirty_bitmap_count(&d),
              pages);
        dirty_bitmap_done(&d);
    }
    machine_free(m);
}

static const char *write_file(char path[static PATH_MAX], const struct source *s)
{
    struct target *l;
    struct error err;

    OK(target_file_new(&(struct target_config){.path = temp_path(path, "snap"), .force = true}, &l,
                       &err),
       err, "target");
    land(l, s);
    return path;
}

static void file_round_trip(void **state)
{
    struct source s;
    struct machine *m;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    source_init(&s);
    OK(snapshot_file(write_file(path, &s), &m, &err), err, "read back");
    check_machine("file", m, &s, true);
    unlink(path);
    source_done(&s);
}

static void raw_round_trip(void **state)
{
    static const char *const files[] = {"cap/stream", "cap/ram.pc.ram",
                                        "cap/ram.%2From@etc%2Facpi%2Ftables", "cap/ram.100%25%2Fa"};
    struct source s;
    struct machine *m;
    struct target *l;
    char path[PATH_MAX], name[PATH_MAX];
    struct error err;

    (void)state;
    source_init(&s);
    OK(target_raw_new(&(struct target_config){.path = temp_path(path, "cap")}, &l, &err), err,
       "target");
    land(l, &s);
    OK(machine_snapshot_raw(path, &m, &err), err, "read back");
    check_machine("raw", m, &s, false);
    /* A block's file equals the block, byte for byte. */
    struct buf ram = file_bytes(temp_path(name, files[1]));
    CHECK(ram.len == 700 * RAM_PAGE_SIZE && memcmp(ram.data, s.map.blocks[0].host, ram.len) == 0,
          "ram.pc.ram differs");
    buf_done(&ram);
    CHECK(truncate(name, 699 * RAM_PAGE_SIZE) == 0, "truncate");
    check_refused("a short block", machine_snapshot_raw(path, &m, &err), &err, ERR_PEER,
                  "expected 2867200");
    unlink(name);
    check_refused("a missing block", machine_snapshot_raw(path, &m, &err), &err, ERR_SYSTEM,
                  "ram.pc.ram");
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        unlink(temp_path(name, files[i]));
    rmdir(path);
    source_done(&s);
}

/* --- a block that was left out --------------------------------------------------------------- */

#define LEFT_OUT 1 /* one in the middle */

static void land_without(struct target *l, const struct source *s)
{
    struct configuration config = config_of();
    struct ram_map map = {0};
    struct error err;

    config.capabilities = STREAM_CAP_X_IGNORE_SHARED;
    for (size_t i = 0; i < BLOCKS; i++) {
        OK(ram_map_add(&map, blocks[i].name, blocks[i].pages * RAM_PAGE_SIZE, &err), err, "add");
        map.blocks[i].address = i << 32;
    }
    OK(l->ops->listed(l, &config, &s->devices, &map, &err), err, "listed");
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i == LEFT_OUT)
            map.blocks[i].travel = RAM_IGNORED; /* as it is known at the end */
        else
            OK(page_place_write(&map.blocks[i], 0, s->map.blocks[i].host,
                                blocks[i].pages * RAM_PAGE_SIZE, &err),
               err, "write");
    }
    OK(target_prepare(l, &config, &map, &s->devices, &err), err, "prepare");
    OK(target_commit(l, &err), err, "commit");
    ram_map_done(&map);
    target_free(l);
}

static void check_without(const char *label, struct machine *m, const struct source *s)
{
    CHECK(m->ram.n == BLOCKS && m->ram.total_bytes == s->map.total_bytes, "%s: blocks", label);
    for (size_t i = 0; i < BLOCKS; i++) {
        const struct ram_block *b = &m->ram.blocks[i], *own = &s->map.blocks[i];

        CHECK(ram_block_is_here(b) == (i != LEFT_OUT), "%s: block %zu is here", label, i);
        CHECK(b->address == i << 32, "%s: block %zu is elsewhere", label, i);
        CHECK(b->shared == (i == LEFT_OUT) && b->named == b->shared && b->travel == RAM_TRAVELS,
              "%s: block %zu is not what it was", label, i);
        CHECK(i == LEFT_OUT || memcmp(b->host, own->host, own->used_bytes) == 0,
              "%s: block %zu differs", label, i);
    }
    CHECK(m->devices.tail.len == s->devices.tail.len, "%s: another tail", label);
    CHECK(m->config.capabilities == 0, "%s: the machine has capabilities", label);
    machine_free(m);
}

static void leaves_out_again(void **state)
{
    static const char *const files[] = {"cap/stream", "cap/ram.pc.ram", "cap/ram.100%25%2Fa"};
    struct source s;
    struct machine *m;
    struct target *l;
    char path[PATH_MAX], name[PATH_MAX];
    struct error err;

    (void)state;
    source_init(&s);
    OK(target_file_new(&(struct target_config){.path = temp_path(path, "snap"), .force = true}, &l,
                       &err),
       err, "target");
    land_without(l, &s);
    OK(snapshot_file(path, &m, &err), err, "read back");
    check_without("file", m, &s);
    unlink(path);
    OK(target_raw_new(&(struct target_config){.path = temp_path(path, "cap")}, &l, &err), err,
       "target");
    land_without(l, &s);
    CHECK(access(temp_path(name, "cap/ram.%2From@etc%2Facpi%2Ftables"), F_OK) < 0, "it has a file");
    OK(machine_snapshot_raw(path, &m, &err), err, "read back");
    check_without("raw", m, &s);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        CHECK(unlink(temp_path(name, files[i])) == 0, "%s", files[i]);
    rmdir(path);
    source_done(&s);
}

static void a_target_that_is_dropped_leaves_nothing(void **state)
{
    char path[PATH_MAX];
    struct target *l;
    struct error err;

    (void)state;
    OK(target_file_new(&(struct target_config){.path = temp_path(path, "x")}, &l, &err), err,
       "file");
    target_free(l);
    OK(target_raw_new(&(struct target_config){.path = path}, &l, &err), err, "raw");
    target_free(l);
    CHECK(temp_entries() == 0, "%zu entries", temp_entries());
    target_free(NULL);
}

/* --- damaged files ---------------------------------------------------------------------------- */

/* The readers of such files: a machine that is sent or inspected, and the engine's loader. */
static int open_it(const char *path, struct error *err)
{
    struct machine *m;

    if (snapshot_file(path, &m, err) < 0)
        return -1;
    machine_free(m);
    return 0;
}

static int load_it(const char *path, struct error *err)
{
    struct target *l;

    OK(target_null_new(&l, err), *err, "target");
    int rc = move_file_to_target(path, false, l, err);
    target_free(l);
    return rc;
}

static const struct reader_case {
    const char *label;
    int (*read)(const char *path, struct error *err);
} readers[] = {{"open", open_it}, {"load", load_it}};

/* Parts of a file. */
enum part {
    LENGTH, /* of a block, before … */
    HEADER,
    BITMAP,
    RECORD, /* after the last block's pages: its end of section */
};

/* After its name and length. */
static size_t header_at(const struct buf *b, size_t block)
{
    size_t len = strlen(blocks[block].name);

    for (size_t at = 0; at + len + 40 < b->len; at++) {
        if (b->data[at] == len && memcmp(b->data + at + 1, blocks[block].name, len) == 0)
            return at + 1 + len + 8;
    }
    fail_msg("no block '%s'", blocks[block].name);
    return 0;
}

static uint64_t offset_at(const struct buf *b, size_t at)
{
    struct reader r = reader_of(b->data + at, 8);

    return get_u64(&r);
}

static size_t part_at(const struct buf *b, enum part part, size_t block)
{
    size_t header = header_at(b, block);

    switch (part) {
    case LENGTH:
        return header - 8;
    case HEADER:
        return header;
    case BITMAP:
        return offset_at(b, header + 12);
    default:
        return offset_at(b, header + 20) + blocks[block].pages * RAM_PAGE_SIZE;
    }
}

#define WHOLE  UINT64_C(0xffffffffffffffff)
#define TABLES "RAM block '/rom@etc/acpi/tables': "

static const struct lie_case {
    const char *label;
    enum part part;
    size_t block, at, len;
    uint64_t value;
    const char *refused;
} lie_cases[] = {
    {"version", HEADER, 0, 0, 4, 2, "RAM block 'pc.ram': mapped-ram version 2, expected 1"},
    {"page size 0", HEADER, 0, 4, 8, 0, "RAM block 'pc.ram': page size 0, expected 4096"},
    {"page size 2 MiB", HEADER, 1, 4, 8, 2 << 20, TABLES "page size 2097152, expected 4096"},
    {"bitmap behind the end", HEADER, 0, 12, 8, UINT64_C(1) << 40,
     "RAM block 'pc.ram': bitmap offset 0x10000000000, expected 88 bytes inside"},
    {"bitmap of the world", HEADER, 0, 12, 8, WHOLE,
     "RAM block 'pc.ram': bitmap offset 0xffffffffffffffff"},
    {"bitmap over the end", HEADER, 0, 12, 8, WHOLE - 80, "RAM block 'pc.ram': bitmap offset"},
    {"bitmap over the start", HEADER, 0, 12, 8, 1, "where its header ends"},
    {"bitmap over the block before", HEADER, 1, 12, 8, 2 << 20, TABLES "bitmap offset 0x200000"},
    {"bitmap over its pages", HEADER, 0, 12, 8, 1 << 20, "where its bitmap ends"},
    {"bitmap in its pages", HEADER, 0, 12, 8, (1 << 20) + 4096,
     "RAM block 'pc.ram': pages offset 0x100000"},
    {"no bitmap", HEADER, 0, 12, 8, 0, "RAM block 'pc.ram': bitmap offset 0x0"},
    {"pages behind the end", HEADER, 0, 20, 8, UINT64_C(1) << 40,
     "RAM block 'pc.ram': pages offset 0x10000000000, expected 0x2bc000 bytes inside"},
    {"pages of the world", HEADER, 0, 20, 8, WHOLE - 4095,
     "RAM block 'pc.ram': pages offset 0xfffffffffffff000"},
    {"pages just overflow", HEADER, 0, 20, 8, UINT64_C(0x7ffffffffffff000),
     "RAM block 'pc.ram': pages offset 0x7ffffffffffff000"},
    {"the last pages over the end", HEADER, 2, 20, 8, 0x5f0000,
     "RAM block '100%/a': pages offset 0x5f0000"},
    {"pages unaligned", HEADER, 0, 20, 8, (1 << 20) + 1, "pages offset 0x100001, expected a mult"},
    {"pages over the header", HEADER, 0, 20, 8, 0, "RAM block 'pc.ram': pages offset 0x0"},
    {"pages over the block before", HEADER, 1, 20, 8, 1 << 20, TABLES "pages offset 0x100000"},
    {"nowhere, and not ignored", HEADER, 1, 12, 8, 0, TABLES "bitmap offset 0x0"},
    {"a page behind the block", BITMAP, 0, 87, 1, 0x80,
     "RAM block 'pc.ram': bitmap: page 703, expected at most 699"},
    {"a page just behind it", BITMAP, 1, 4, 1, 0x02, TABLES "bitmap: page 33, expected at most 32"},
    {"length 0", LENGTH, 0, 0, 8, 0, "RAM block 'pc.ram': length 0x0, expected a multiple"},
    {"length of no pages", LENGTH, 1, 0, 8, 4095, TABLES "length 0xfff"},
    {"length of the world", LENGTH, 0, 0, 8, WHOLE - 4095, "RAM block 'pc.ram': length"},
    {"length of the file", LENGTH, 0, 0, 8, 8 << 20, "RAM block 'pc.ram': pages offset"},
    {"a page more", LENGTH, 2, 0, 8, 65 * 4096, "RAM block '100%/a': pages offset 0x500000"},
    {"a page less", LENGTH, 2, 0, 8, 63 * 4096, ""},
    {"a second list", RECORD, 2, 0, 8, 4096 | 4, "RAM block list: a second one, expected one"},
    {"a page record", RECORD, 2, 0, 8, 8, "record 0x008: a mapped-ram file may have only EOS"},
    {"no record", RECORD, 2, 0, 8, 0x800, "record 0x800: a mapped-ram file may have only EOS"},
    {"no footer", RECORD, 2, 8, 1, 0, ""},
    {"no last section", RECORD, 2, 13, 1, 0, "EOF element, expected RAM's last section"},
};

static void lies(void **state)
{
    struct source s;
    char path[PATH_MAX], label[200];
    struct error err;

    (void)state;
    source_init(&s);
    struct buf b = file_bytes(write_file(path, &s));
    for (size_t i = 0; i < ARRAY_LEN(lie_cases); i++) {
        const struct lie_case *c = &lie_cases[i];
        uint8_t saved[8], *at = b.data + part_at(&b, c->part, c->block) + c->at;
        struct writer w = writer_of(at, c->len);

        memcpy(saved, at, c->len);
        put_be(&w, c->value, c->len);
        file_write(path, b.data, b.len);
        for (size_t r = 0; r < ARRAY_LEN(readers); r++) {
            snprintf(label, sizeof(label), "%s: %s", readers[r].label, c->label);
            check_refused(label, readers[r].read(path, &err), &err, ERR_PEER, c->refused);
            CHECK(strncmp(err.text, path, strlen(path)) == 0, "%s: %s", label, err.text);
        }
        memcpy(at, saved, c->len);
    }
    file_write(path, b.data, b.len);
    for (size_t r = 0; r < ARRAY_LEN(readers); r++)
        OK(readers[r].read(path, &err), err, readers[r].label);
    buf_done(&b);
    unlink(path);
    source_done(&s);
}

/* Cut at each border between two parts, a byte before it and a byte after it. */
static void cut_at_structures(void **state)
{
    static const enum part parts[] = {LENGTH, HEADER, BITMAP, RECORD};
    struct source s;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    source_init(&s);
    struct buf b = file_bytes(write_file(path, &s));
    for (size_t i = 0; i < BLOCKS * ARRAY_LEN(parts) * 3; i++) {
        size_t at = part_at(&b, parts[i / 3 % ARRAY_LEN(parts)], i / 3 / ARRAY_LEN(parts));

        file_write(path, b.data, at + i % 3 - 1);
        for (size_t r = 0; r < ARRAY_LEN(readers); r++) {
            CHECK(readers[r].read(path, &err) < 0, "%s: cut at %zu: accepted", readers[r].label,
                  at);
            CHECK(err.kind == ERR_PEER && !strchr(err.text, '\n'), "%s: cut at %zu: %s",
                  readers[r].label, at, err.text);
        }
    }
    buf_done(&b);
    unlink(path);
    source_done(&s);
}

static void cut_files(void **state)
{
    struct source s;
    struct machine *m;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    source_init(&s);
    struct buf b = file_bytes(write_file(path, &s));
    for (size_t len = 0; len < b.len; len += len < 200 || b.len - len < 100 ? 1 : 54321) {
        file_write(path, b.data, len);
        CHECK(snapshot_file(path, &m, &err) < 0, "cut at %zu: accepted", len);
        CHECK(err.kind == ERR_PEER && strncmp(err.text, path, strlen(path)) == 0, "cut at %zu: %s",
              len, err.text);
        if (b.len - len > 100 && b.len - len < 54421 && len > 200)
            len = b.len - 100 - 1;
    }
    buf_done(&b);
    unlink(path);
    source_done(&s);
}

/* --- files that are longer than their stream ------------------------------------------------- */

/* Appends `len` bytes: each is `byte`, or made up where that is 0. */
static void pad(const char *path, size_t len, char byte)
{
    AUTO_FD int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    char piece[4096];
    struct stat st;

    CHECK(fd >= 0 && fstat(fd, &st) == 0, "%s", path);
    memset(piece, byte, sizeof(piece));
    for (size_t done = 0; byte && done < len; done += MIN(sizeof(piece), len - done))
        CHECK(write(fd, piece, MIN(sizeof(piece), len - done)) > 0, "padding");
    CHECK(byte || ftruncate(fd, st.st_size + (off_t)len) == 0, "padding");
}

static const struct padding_case {
    const char *label;
    size_t len;
    char byte;
} paddings[] = {
    {"a byte", 1, 0},
    {"a sector", 512, 0},
    {"to the next MiB", 1 << 20, 0},
    {"more than a tail may have", STREAM_DEVICES_MAX + (64 << 20), 0},
    {"braces", 300000, '}'},
    {"braces that open", 300000, '{'},
    {"the byte before a description", 300000, 6},
};

/* A block device, or a copy of one made with dd: a reader finds the same with and without
 * padding. */
static void padded_files(void **state)
{
    struct source s;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    source_init(&s);
    struct buf b = file_bytes(write_file(path, &s));
    for (size_t i = 0; i < ARRAY_LEN(paddings); i++) {
        file_write(path, b.data, b.len);
        pad(path, paddings[i].len, paddings[i].byte);
        for (size_t r = 0; r < ARRAY_LEN(readers); r++)
            OK(readers[r].read(path, &err), err, paddings[i].label);
    }
    /* A device that held a longer snapshot before. */
    file_write(path, b.data, b.len);
    AUTO_FD int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    CHECK(write(fd, b.data + b.len - 100, 100) == 100, "an older end");
    for (size_t r = 0; r < ARRAY_LEN(readers); r++)
        OK(readers[r].read(path, &err), err, "an older end behind it");
    buf_done(&b);
    unlink(path);
    source_done(&s);
}

/* Padding does not make a cut snapshot whole. */
static void padded_cut_files(void **state)
{
    struct source s;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    source_init(&s);
    struct buf b = file_bytes(write_file(path, &s));
    for (size_t cut = 1; cut < 120; cut += cut < 4 ? 1 : 29) {
        for (size_t i = 0; i < ARRAY_LEN(paddings); i++) {
            if (paddings[i].len > 1 << 20)
                continue;
            file_write(path, b.data, b.len - cut);
            pad(path, paddings[i].len, paddings[i].byte);
            for (size_t r = 0; r < ARRAY_LEN(readers); r++)
                CHECK(cut == 1 && paddings[i].byte == '}'
                          ? readers[r].read(path, &err) == 0 /* the byte that was cut off */
                          : readers[r].read(path, &err) < 0 && err.kind == ERR_PEER,
                      "%s: %zu bytes cut off, then %s", readers[r].label, cut, paddings[i].label);
        }
    }
    buf_done(&b);
    unlink(path);
    source_done(&s);
}

static void not_snapshots(void **state)
{
    char path[PATH_MAX];
    struct machine *m;
    struct error err;

    (void)state;
    CHECK(snapshot_file(temp_path(path, "none"), &m, &err) < 0 && err.kind == ERR_SYSTEM,
          "no such file");
    CHECK(snapshot_file(temp_dir(), &m, &err) < 0, "a directory");
    file_write(path, "", 0);
    check_refused("empty", snapshot_file(path, &m, &err), &err, ERR_PEER, "not a single byte");
    struct buf b = golden("v7-multifd-none/c0.fwd");
    file_write(path, b.data, b.len);
    check_refused("pages on channels", snapshot_file(path, &m, &err), &err, ERR_PEER,
                  "a stream without its pages");
    CHECK(machine_snapshot_raw(path, &m, &err) < 0, "a file as a directory");
    CHECK(machine_snapshot_raw(temp_dir(), &m, &err) < 0, "a directory without a capture");
    buf_done(&b);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_round_trip),
        cmocka_unit_test(raw_round_trip),
        cmocka_unit_test(leaves_out_again),
        cmocka_unit_test(a_target_that_is_dropped_leaves_nothing),
        cmocka_unit_test(lies),
        cmocka_unit_test(cut_at_structures),
        cmocka_unit_test(cut_files),
        cmocka_unit_test(padded_files),
        cmocka_unit_test(padded_cut_files),
        cmocka_unit_test(not_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
