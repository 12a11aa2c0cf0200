/* A snapshot with checksums: they are found and true, they find damage, and they say where. */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "capture/machine_snapshot.h"
#include "capture/target.h"
#include "ram/checksum_scan.h"
#include "ram/page_place.h"
#include "stream/description.h"
#include "tests/support/memory.h"
#include "tests/support/move.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

#define MIB    (UINT64_C(1) << 20)
#define BLOCKS 2
#define PAGES  1500 /* of the first: two pieces and a part of one */

static const struct {
    const char *name;
    uint64_t pages;
} blocks[BLOCKS] = {{"pc.ram", PAGES}, {"vga", 33}};

/* Pages of the second piece of the first block never come. */
static bool comes(size_t block, uint64_t page)
{
    return block > 0 || page / STRIPE_PAGES != 1;
}

static void write_pages(struct ram_map *map)
{
    uint8_t bytes[RAM_PAGE_SIZE];
    struct error err;

    for (size_t i = 0; i < BLOCKS; i++) {
        for (uint64_t page = 0; page < blocks[i].pages; page++) {
            if (!comes(i, page))
                continue;
            /* Each page twice, with other bytes first; every seventh becomes zero at last. */
            for (unsigned n = 0; n < 2; n++) {
                memset(bytes, (int)(page + n + i + 1), sizeof(bytes));
                OK(page_place_write(&map->blocks[i], page << RAM_PAGE_BITS, bytes, sizeof(bytes),
                                    &err),
                   err, "write");
            }
            if (page % 7 == 3)
                OK(page_place_zero(&map->blocks[i], page << RAM_PAGE_BITS, &err), err, "zero");
        }
    }
}

static const char *write_file(char path[static PATH_MAX], bool checksums)
{
    const struct configuration config = {.machine = "pc-q35-11.1"};
    const struct target_config to = {
        .path = temp_path(path, "snap"), .force = true, .checksums = checksums};
    struct device_state devices = {0};
    struct ram_map map = {0};
    struct target *l;
    struct error err;

    OK(description_append(&devices.tail, NULL, &err), err, "description");
    OK(target_file_new(&to, &l, &err), err, "target");
    for (size_t i = 0; i < BLOCKS; i++)
        OK(ram_map_add(&map, blocks[i].name, blocks[i].pages * RAM_PAGE_SIZE, &err), err, "add");
    OK(l->ops->listed(l, &config, &devices, &map, &err), err, "listed");
    write_pages(&map);
    OK(target_prepare(l, &config, &map, &devices, &err), err, "prepare");
    OK(target_commit(l, &err), err, "commit");
    ram_map_done(&map);
    target_free(l);
    device_state_done(&devices);
    return path;
}

/* --- the file, opened ------------------------------------------------------------------------ */

struct opened {
    int fd;
    uint64_t bytes;
    struct checksums checksums;
    struct checksum_scan_counts counts;
    struct checksum_damage seen;
};

static int open_checksums(const char *path, struct opened *o, struct error *err)
{
    struct stat st;

    *o = (struct opened){.fd = open(path, O_RDONLY | O_CLOEXEC)};
    CHECK(o->fd >= 0 && fstat(o->fd, &st) == 0, "%s", path);
    o->bytes = (uint64_t)st.st_size;
    return checksums_at_end(o->fd, o->bytes, &o->checksums, err);
}

static void done(struct opened *o)
{
    checksums_done(&o->checksums);
    fd_close(&o->fd);
}

static void saw(void *arg, const struct checksum_damage *d)
{
    ((struct opened *)arg)->seen = *d;
}

static void scan(const char *label, const char *path, unsigned n_threads, struct opened *o)
{
    struct cancel cancel;
    struct error err;

    OK(cancel_init(&cancel, &err), err, label);
    OK(open_checksums(path, o, &err), err, label);
    CHECK(o->checksums.found, "%s: no checksums", label);
    const struct checksum_scan_config config = {.fd = o->fd,
                                                .direct_fd = -1,
                                                .checksums = &o->checksums,
                                                .n_threads = n_threads,
                                                .cancel = &cancel,
                                                .damaged = saw,
                                                .arg = o};
    OK(checksum_scan(&config, &o->counts, &err), err, label);
    cancel_done(&cancel);
}

static void flip(const char *path, uint64_t at)
{
    AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;

    CHECK(fd >= 0 && pread(fd, &byte, 1, (off_t)at) == 1, "%s", path);
    byte ^= 8;
    CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1, "%s", path);
}

/* A machine that sends the snapshot, or a guest that is loaded from it. */
static int load(const char *path, struct error *err)
{
    struct target *target;

    OK(target_null_new(&target, err), *err, "target");
    int rc = move_file_to_target(path, false, target, err);
    target_free(target);
    return rc;
}

static int open_machine(const char *path, struct error *err)
{
    char text[PATH_MAX + 8];
    struct address from;
    struct machine *m;

    snprintf(text, sizeof(text), "file:%s", path);
    if (address_parse(text, &from, err) < 0 ||
        machine_snapshot_file(&from, PAGES_LOADED, &m, err) < 0)
        return -1;
    bool found = machine_snapshot_has_checksums(m);
    machine_free(m);
    return found ? 0 : err_set(err, ERR_USAGE, "no checksums");
}

/* --- tests ----------------------------------------------------------------------------------- */

static void as_it_was_written(void **state)
{
    struct stat before, after;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    CHECK(stat(write_file(path, true), &before) == 0, "stat");
    for (unsigned n_threads = 0; n_threads < 5; n_threads += 2) {
        struct opened o;

        scan("whole", path, n_threads, &o);
        CHECK(o.counts.damaged == 0 && !o.counts.stale, "%" PRIu64 " damaged", o.counts.damaged);
        CHECK(o.counts.pieces == 4 && o.counts.empty == 1, "%" PRIu64 " pieces", o.counts.pieces);
        done(&o);
    }
    OK(load(path, &err), err, "load");
    OK(open_machine(path, &err), err, "open");
    /* Holes are still holes. */
    CHECK(stat(path, &after) == 0 && after.st_blocks == before.st_blocks, "%lld blocks, were %lld",
          (long long)after.st_blocks, (long long)before.st_blocks);
    unlink(path);
}

/* Where a bit is flipped, and what is said of it. */
static void damaged_page(const char *label, const char *path, uint64_t at, size_t block,
                         uint64_t first, uint64_t last)
{
    struct opened o;
    struct error err;

    flip(path, at);
    scan(label, path, 2, &o);
    CHECK(o.counts.damaged == 1 && o.seen.block && o.seen.first == first && o.seen.last == last &&
              strcmp(o.seen.block->name, blocks[block].name) == 0,
          "%s: %" PRIu64 " damaged, 0x%" PRIx64 "-0x%" PRIx64, label, o.counts.damaged,
          o.seen.first, o.seen.last);
    done(&o);
    check_refused(label, load(path, &err), &err, ERR_PEER, "damaged at 0x");
    OK(open_machine(path, &err), err, label); /* pages are looked at when they are sent */
    flip(path, at);
}

static void pages(void **state)
{
    struct opened o;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    write_file(path, true);
    OK(open_checksums(path, &o, &err), err, "open");
    uint64_t ram = o.checksums.table.blocks[0].pages_offset;
    uint64_t vga = o.checksums.table.blocks[1].pages_offset;
    done(&o);
    damaged_page("first", path, ram, 0, 0, 2 * MIB - 1);
    damaged_page("last of a piece", path, ram + 2 * MIB - 1, 0, 0, 2 * MIB - 1);
    damaged_page("last", path, ram + PAGES * RAM_PAGE_SIZE - 1, 0, 4 * MIB,
                 PAGES * RAM_PAGE_SIZE - 1);
    damaged_page("another block", path, vga + 5000, 1, 0, 33 * RAM_PAGE_SIZE - 1);
    /* A page that the file does not have is nobody's business. */
    flip(path, ram + 3 * RAM_PAGE_SIZE);
    flip(path, ram + 3 * MIB);
    scan("no page", path, 2, &o);
    CHECK(o.counts.damaged == 0, "%" PRIu64, o.counts.damaged);
    done(&o);
    unlink(path);
}

/* Part `part` differs; ours refuse the file at once, and say what is damaged. */
static void damaged_part(const char *path, uint64_t at, size_t part, const char *name)
{
    struct opened o;
    struct error err;

    flip(path, at);
    scan(name, path, 1, &o);
    CHECK(o.counts.damaged >= 1 && !o.counts.stale, "%s: %" PRIu64, name, o.counts.damaged);
    CHECK(o.seen.block || o.seen.part == part, "%s: part %zu", name, o.seen.part);
    done(&o);
    check_refused(name, load(path, &err), &err, ERR_PEER, name);
    check_refused(name, open_machine(path, &err), &err, ERR_PEER, name);
    flip(path, at);
}

static void parts(void **state)
{
    struct opened o;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    write_file(path, true);
    OK(open_checksums(path, &o, &err), err, "open");
    const struct checksum_block *vga = &o.checksums.table.blocks[1];
    uint64_t bitmap = vga->bitmap_offset, end = o.checksums.table.stream_bytes;
    uint64_t table = o.checksums.table.distance;
    done(&o);
    damaged_part(path, 20, 0, "the header and the bitmap of RAM block 'pc.ram'");
    damaged_part(path, bitmap, 1, "the header and the bitmap of RAM block 'vga'");
    damaged_part(path, end - 3, 2, "the device sections");
    for (uint64_t at = table; at < o.bytes; at++) {
        flip(path, at);
        int rc = open_checksums(path, &o, &err);
        CHECK(rc < 0 || !o.checksums.found || at >= o.bytes - 16, "byte %" PRIu64 " of the table",
              at - table);
        if (rc < 0)
            CHECK(err.kind == ERR_PEER && strncmp(err.text, "table of checksums: ", 20) == 0, "%s",
                  err.text);
        done(&o);
        CHECK(load(path, &err) < 0 && err.kind == ERR_PEER, "byte %" PRIu64 " is not missed",
              at - table);
        flip(path, at);
    }
    unlink(path);
}

/* Written again by a program that knows no checksums and does not cut the file: both ends of the
 * stream are others. */
static void stale(void **state)
{
    struct opened o;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    write_file(path, true);
    OK(open_checksums(path, &o, &err), err, "open");
    uint64_t end = o.checksums.table.stream_bytes;
    done(&o);
    flip(path, 20);
    flip(path, end - 3);
    scan("stale", path, 2, &o);
    CHECK(o.counts.stale && o.counts.pieces == 0, "not stale");
    done(&o);
    check_refused("stale", load(path, &err), &err, ERR_PEER, "written again");
    unlink(path);
}

/* On a block device, or as a copy in whole blocks, a file has other bytes after its own. */
static void longer_and_shorter(void **state)
{
    struct opened o;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    struct buf whole = file_bytes(write_file(path, true));
    CHECK(truncate(path, (off_t)whole.len + 12345) == 0, "truncate");
    OK(open_checksums(path, &o, &err), err, "longer");
    CHECK(!o.checksums.found, "found at the end");
    done(&o);
    OK(open_machine(path, &err), err, "longer, by its stream");
    OK(load(path, &err), err, "longer");
    CHECK(truncate(path, (off_t)whole.len - 20) == 0, "truncate");
    check_refused("shorter", load(path, &err), &err, ERR_PEER, "was it cut?");
    check_refused("shorter", open_machine(path, &err), &err, ERR_PEER, "was it cut?");
    file_write(path, whole.data, whole.len - 1000);
    OK(load(path, &err), err, "without its table it is a file like any other");
    buf_done(&whole);
    write_file(path, false);
    OK(load(path, &err), err, "without checksums");
    check_refused("without", open_machine(path, &err), &err, ERR_USAGE, "no checksums");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_it_was_written),
        cmocka_unit_test(pages),
        cmocka_unit_test(parts),
        cmocka_unit_test(stale),
        cmocka_unit_test(longer_and_shorter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
