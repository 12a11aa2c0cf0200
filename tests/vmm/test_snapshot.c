/* Captures, written by a landing and read by a machine: the round trip, and files that lie. */
#include "vmm/machine_snapshot.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "ram/resident.h"
#include "stream/description.h"
#include "tests/support/memory.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "vmm/landing.h"
#include "vmm/snapshot_stream.h"

#define BLOCKS 3

static const struct {
    const char *name;
    uint64_t pages;
} blocks[BLOCKS] = {{"pc.ram", 700}, {"/rom@etc/acpi/tables", 33}, {"100%/a", 64}};

static struct configuration config_of(void)
{
    return (struct configuration){.machine = "pc-q35-11.1", .has_uuid = true, .uuid = {{1, 2, 3}}};
}

/* What a capture is made of. */
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

/* Writes every page that is something, as a migration does. */
static void land(struct landing *l, const struct source *s)
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
            OK(ram_write(&map.blocks[i], at, s->map.blocks[i].host + at, RAM_PAGE_SIZE, &err), err,
               "write");
            if (page % 3 == 1)
                OK(ram_zero_page(&map.blocks[i], at, &err), err, "zero");
        }
    }
    OK(l->ops->commit(l, &config, &map, &s->devices, &err), err, "commit");
    ram_map_done(&map);
    landing_free(l);
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
    struct landing *l;
    struct error err;

    OK(landing_file_new(temp_path(path, "snap"), true, &l, &err), err, "landing");
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
    OK(machine_snapshot_file(write_file(path, &s), &m, &err), err, "read back");
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
    struct landing *l;
    char path[PATH_MAX], name[PATH_MAX];
    struct error err;

    (void)state;
    source_init(&s);
    OK(landing_raw_new(temp_path(path, "cap"), false, &l, &err), err, "landing");
    land(l, &s);
    OK(machine_snapshot_raw(path, &m, &err), err, "read back");
    check_machine("raw", m, &s, false);
    /* A block's file is the block, to the byte. */
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

static void land_without(struct landing *l, const struct source *s)
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
            map.blocks[i].travel = RAM_IGNORED; /* as it is found at the end */
        else
            OK(ram_write(&map.blocks[i], 0, s->map.blocks[i].host, blocks[i].pages * RAM_PAGE_SIZE,
                         &err),
               err, "write");
    }
    OK(l->ops->commit(l, &config, &map, &s->devices, &err), err, "commit");
    ram_map_done(&map);
    landing_free(l);
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
    struct landing *l;
    char path[PATH_MAX], name[PATH_MAX];
    struct error err;

    (void)state;
    source_init(&s);
    OK(landing_file_new(temp_path(path, "snap"), true, &l, &err), err, "landing");
    land_without(l, &s);
    OK(machine_snapshot_file(path, &m, &err), err, "read back");
    check_without("file", m, &s);
    unlink(path);
    OK(landing_raw_new(temp_path(path, "cap"), false, &l, &err), err, "landing");
    land_without(l, &s);
    CHECK(access(temp_path(name, "cap/ram.%2From@etc%2Facpi%2Ftables"), F_OK) < 0, "it has a file");
    OK(machine_snapshot_raw(path, &m, &err), err, "read back");
    check_without("raw", m, &s);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        CHECK(unlink(temp_path(name, files[i])) == 0, "%s", files[i]);
    rmdir(path);
    source_done(&s);
}

static void a_landing_that_is_dropped_leaves_nothing(void **state)
{
    char path[PATH_MAX];
    struct landing *l;
    struct error err;

    (void)state;
    OK(landing_file_new(temp_path(path, "x"), false, &l, &err), err, "file");
    landing_free(l);
    OK(landing_raw_new(path, false, &l, &err), err, "raw");
    landing_free(l);
    CHECK(temp_entries() == 0, "%zu entries", temp_entries());
    landing_free(NULL);
}

/* No two things in the file overlap, pages are where a reader may expect them. */
static void layout(void **state)
{
    struct configuration config = config_of();
    struct mapped_ram mapped[BLOCKS];
    struct source s;

    (void)state;
    source_init(&s);
    for (size_t early = 0; early < 3 << 20; early = early * 4 + 1000) {
        struct device_state devices = {.early.len = early};
        uint64_t end = early;

        snapshot_layout(&config, &s.map, &devices, mapped);
        for (size_t i = 0; i < BLOCKS; i++) {
            CHECK(mapped[i].bitmap_offset >= end + strlen(blocks[i].name) + 9 + 28,
                  "block %zu: bitmap over its header", i);
            CHECK(mapped[i].pages_offset >=
                      mapped[i].bitmap_offset + (blocks[i].pages + 63) / 64 * 8,
                  "block %zu: pages over the bitmap", i);
            CHECK(IS_ALIGNED(mapped[i].pages_offset, UINT64_C(1) << 20), "block %zu: not aligned",
                  i);
            end = mapped[i].pages_offset + blocks[i].pages * RAM_PAGE_SIZE;
        }
    }
    source_done(&s);
}

/* --- files that lie --------------------------------------------------------------------------- */

/* Where the first block's mapped-ram header is: behind its name and length. */
static size_t header_at(const struct buf *b)
{
    for (size_t at = 0; at + 16 < b->len; at++) {
        if (memcmp(b->data + at, "\6pc.ram", 7) == 0)
            return at + 7 + 8;
    }
    fail_msg("no block list");
    return 0;
}

#define WHOLE UINT64_C(0xffffffffffffffff)

static const struct lie_case {
    const char *label;
    size_t at, len; /* in the header of the first block; at -8: its length */
    uint64_t value;
    const char *refused; /* NULL: only no crash is demanded */
} lie_cases[] = {
    {"version", 0, 4, 2, "mapped-ram version 2"},
    {"page size 0", 4, 8, 0, "pages of 0, expected 1 with 4096"},
    {"page size 2 MiB", 4, 8, 2 << 20, "pages of 2097152"},
    {"bitmap behind the end", 12, 8, UINT64_C(1) << 40, "bitmap at 0x10000000000"},
    {"bitmap of the world", 12, 8, WHOLE, "bitmap at 0xffffffffffffffff"},
    {"bitmap over the end", 12, 8, WHOLE - 80, "bitmap at"},
    {"pages behind the end", 20, 8, UINT64_C(1) << 40, ""},
    {"pages of the world", 20, 8, WHOLE - 4095, "pages at 0xfffffffffffff000"},
    {"pages just overflow", 20, 8, UINT64_C(0x7ffffffffffff000), "pages at"},
    {"pages unaligned", 20, 8, (1 << 20) + 1, "pages aligned to 4096"},
    {"pages over the header", 20, 8, 0, ""},
    {"bitmap over the header", 12, 8, 0, NULL},
};

static void lies(void **state)
{
    struct source s;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    source_init(&s);
    struct buf b = file_bytes(write_file(path, &s));
    size_t at = header_at(&b);
    for (size_t i = 0; i < ARRAY_LEN(lie_cases); i++) {
        const struct lie_case *c = &lie_cases[i];
        struct machine *m;
        uint8_t saved[8];
        struct writer w = writer_of(b.data + at + c->at, c->len);

        memcpy(saved, b.data + at + c->at, c->len);
        put_be(&w, c->value, c->len);
        file_write(path, b.data, b.len);
        int rc = machine_snapshot_file(path, &m, &err);
        if (c->refused)
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
        else if (rc == 0)
            machine_free(m);
        memcpy(b.data + at + c->at, saved, c->len);
    }
    buf_done(&b);
    unlink(path);
    source_done(&s);
}

/* A page that its bitmap has, behind the file's end: reading it would kill us. */
static void pages_behind_the_end(void **state)
{
    struct source s;
    struct machine *m;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    source_init(&s);
    struct buf b = file_bytes(write_file(path, &s));
    /* The last block's last page is page 63, 63 % 3 == 0: present. Its end is the stream's rest. */
    OK(machine_snapshot_file(path, &m, &err), err, "whole");
    uint64_t end = m->ram.blocks[BLOCKS - 1].fd_offset + m->ram.blocks[BLOCKS - 1].used_bytes;
    machine_free(m);
    for (uint64_t len = end - RAM_PAGE_SIZE; len <= end; len += 512) {
        file_write(path, b.data, len);
        CHECK(machine_snapshot_file(path, &m, &err) < 0, "cut at %" PRIu64 ": accepted", len);
        CHECK(err.kind == ERR_PEER, "cut at %" PRIu64 ": %s", len, err.text);
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
        CHECK(machine_snapshot_file(path, &m, &err) < 0, "cut at %zu: accepted", len);
        CHECK(err.kind == ERR_PEER && strncmp(err.text, path, strlen(path)) == 0, "cut at %zu: %s",
              len, err.text);
        if (b.len - len > 100 && b.len - len < 54421 && len > 200)
            len = b.len - 100 - 1;
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
    CHECK(machine_snapshot_file(temp_path(path, "none"), &m, &err) < 0 && err.kind == ERR_SYSTEM,
          "no such file");
    CHECK(machine_snapshot_file(temp_dir(), &m, &err) < 0, "a directory");
    file_write(path, "", 0);
    check_refused("empty", machine_snapshot_file(path, &m, &err), &err, ERR_PEER, "the file ends");
    struct buf b = golden("v11-main/c0.fwd");
    file_write(path, b.data, b.len);
    check_refused("a stream without mapped-ram", machine_snapshot_file(path, &m, &err), &err,
                  ERR_PEER, "not a mapped-ram snapshot");
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
        cmocka_unit_test(a_landing_that_is_dropped_leaves_nothing),
        cmocka_unit_test(layout),
        cmocka_unit_test(lies),
        cmocka_unit_test(pages_behind_the_end),
        cmocka_unit_test(cut_files),
        cmocka_unit_test(not_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
