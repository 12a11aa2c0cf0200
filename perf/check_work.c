/*
 * perf/check_work.c: small fixed pieces of work, one per run, whose instructions perf/check counts.
 * The input is always the same, and so is the path through our code, except where the CPU chooses
 * it.
 */
#include <err.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "migration/main_stream.h"
#include "multifd/file_pool.h"
#include "ram/page_inline.h"
#include "ram/zero_page.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/memory.h"
#include "tests/support/pools.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "transport/file_channel.h"

struct piece {
    const char *name;
    void (*run)(const struct piece *p);
    const char *method; /* for finding zero pages */
    struct pools_config pools;
    bool file; /* the pages are in a file */
};

/* --- zero pages ------------------------------------------------------------------------------- */

#define SCAN_PAGES 16384 /* 64 MiB, a third of it zero */

static bool (*method_named(const char *name))(const void *)
{
    for (const struct zero_page_method *m = zero_page_methods(); m->name; m++) {
        if (strcmp(m->name, name) == 0 && m->fn)
            return m->fn;
    }
    printf("skipped: no %s on this CPU\n", name);
    exit(77);
}

static void scan(const struct piece *p)
{
    bool (*is_zero)(const void *) = method_named(p->method);
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "pc.ram", SCAN_PAGES, false);
    uint64_t n = 0;

    memory_fill(b, 1, true);
    for (uint64_t page = 0; page < SCAN_PAGES; page++)
        n += is_zero(b->host + (page << RAM_PAGE_BITS));
    assert_int_equal(n, (SCAN_PAGES + 1) / 3);
    ram_map_done(&map);
}

/* --- packets ---------------------------------------------------------------------------------- */

static void packets(const struct piece *p)
{
    static struct multifd_packet packet, back;
    uint8_t wire[MULTIFD_PACKET_LEN];
    struct error err;

    (void)p;
    strcpy(packet.block, "pc.ram");
    for (unsigned i = 0; i < 1000; i++) {
        packet.n_zero = i % MULTIFD_PAGES;
        packet.n_normal = MULTIFD_PAGES - packet.n_zero;
        packet.payload_bytes = packet.n_normal * RAM_PAGE_SIZE;
        for (unsigned k = 0; k < MULTIFD_PAGES; k++)
            packet.offsets[k] = (uint64_t)(i + k) * RAM_PAGE_SIZE;
        multifd_packet_encode(&packet, wire);
        OK(multifd_prefix_check(wire, &err), err, "prefix");
        OK(multifd_packet_decode(wire, &back, &err), err, "packet");
    }
    assert_int_equal(back.offsets[MULTIFD_PAGES - 1], packet.offsets[MULTIFD_PAGES - 1]);
}

/* --- pages over channels ---------------------------------------------------------------------- */

#define MOVED_PAGES 4096 /* 16 MiB, a third of it zero */

static void into_file(struct ram_block *b)
{
    b->fd = memfd_create("pages", MFD_CLOEXEC);
    assert_true(b->fd >= 0);
    assert_int_equal(pwrite(b->fd, b->host, b->used_bytes, 0), (ssize_t)b->used_bytes);
}

/* Moves pages from one end of socket pairs to the other, in this process. */
static void move(const struct piece *p)
{
    struct pools w;
    struct error err;

    pools_init(&w);
    struct ram_block *b = memory_add(&w.from, "pc.ram", MOVED_PAGES, false);
    memory_fill(b, 1, true);
    if (p->file)
        into_file(b);
    pools_start(&w, &p->pools);
    for (size_t i = 0; i < p->pools.n; i++)
        pools_receive(&w, i);
    OK(recv_pool_complete(w.pool, true, NULL, &err), err, p->name);
    recv_pool_open(w.pool, &w.to, NULL);
    round_set_all(&w.round);
    pools_send(&w, &w.round, p->name);
    OK(recv_pool_flush(w.pool, &err), err, p->name);
    memory_check_equal(p->name, &w.from, &w.to);
    pools_finish(&w, p->name);
}

/* --- pages into a file ------------------------------------------------------------------------ */

struct written {
    struct ram_map map;
    struct ram_round round;
};

static void written_init(struct written *w, const struct piece *p)
{
    struct error err;

    *w = (struct written){0};
    struct ram_block *b = memory_add(&w->map, "pc.ram", MOVED_PAGES, false);
    memory_fill(b, 1, true);
    if (p->file)
        into_file(b);
    OK(ram_round_init(&w->round, &w->map, false, NULL, &err), err, p->name);
    round_set_all(&w->round);
}

static void written_done(struct written *w)
{
    ram_round_done(&w->round);
    ram_map_done(&w->map);
}

/* Writes pages as records of the main stream. */
static void write_inline(const struct piece *p)
{
    struct channel_traffic beside;
    struct page_sink *sink;
    struct bytes_out out;
    struct written w;
    struct error err;

    written_init(&w, p);
    bytes_out_init(&out);
    OK(page_inline_new(&out.out, &sink, &err), err, p->name);
    OK(sink->ops->round(sink, &w.round, true, &err), err, p->name);
    const struct channel_stats *stats = sink->ops->stats(sink, 0, &beside);
    assert_int_equal(stats->normal + stats->zero, MOVED_PAGES);
    struct buf bytes = bytes_out_take(&out);
    assert_true(bytes.len > stats->normal * RAM_PAGE_SIZE);
    buf_done(&bytes);
    sink->ops->free(sink);
    written_done(&w);
}

/* Writes pages to their places in a file, on the caller's thread. */
static void write_places(const struct piece *p)
{
    struct channel_group group;
    struct mapped_ram mapped[1];
    struct dirty_bitmap *written;
    struct page_sink *sink;
    struct channel *channel;
    struct written w;
    struct error err;

    written_init(&w, p);
    OK(channel_group_init(&group, 0, &err), err, p->name);
    OK(ram_bitmaps_new(&w.map, &written, &err), err, p->name);
    int fd = memfd_create("file", MFD_CLOEXEC);
    assert_return_code(ftruncate(fd, (off_t)mapped_ram_layout(&w.map, 0, mapped)), 0);
    OK(file_channel_open(fd, 0, &channel, &err), err, p->name);
    OK(channel_group_add(&group, channel, &err), err, p->name);
    struct file_pool_config config = {
        .group = &group, .mapped = mapped, .written = written, .channels = &channel, .n = 1};
    OK(file_pool_new(&config, &sink, &err), err, p->name);
    OK(sink->ops->round(sink, &w.round, true, &err), err, p->name);
    assert_int_equal(dirty_bitmap_count(&written[0]), MOVED_PAGES - (MOVED_PAGES + 1) / 3);
    sink->ops->free(sink);
    close(fd);
    ram_bitmaps_free(written, w.map.n);
    channel_group_done(&group);
    written_done(&w);
}

/* --- the main stream -------------------------------------------------------------------------- */

static int on_configured(struct main_stream *ms, struct error *err)
{
    (void)ms;
    (void)err;
    return 0;
}

/* Parses a stream that a QEMU wrote: pages, zero pages, devices. */
static void parse(const struct piece *p)
{
    static const struct main_stream_ops stream_ops = {.configured = on_configured};
    struct buf bytes = golden("v11-main/c0.fwd");
    struct stream_in in;
    struct ram_map map = {0};
    struct error err;

    bytes_stream_in(&in, bytes.data, bytes.len);
    struct main_stream ms = {.ops = &stream_ops, .in = &in};
    struct ram_load load;
    ram_load_init(&load, &memory_load_ops, &map);
    section_loaders_add(&ms.loaders, &load.base);
    OK(main_stream_read(&ms, &err), err, p->name);
    main_stream_done(&ms);
    ram_load_done(&load);
    ram_map_done(&map);
    bytes_stream_in_done(&in);
    buf_done(&bytes);
}

/* ---------------------------------------------------------------------------------------------- */

static const struct piece pieces[] = {
    {"scan-portable", scan, .method = "portable"},
    {"scan-avx2", scan, .method = "avx2"},
    {.name = "packets", .run = packets},
    {"move-none", move, .pools = {.n = 1, .n_expected = 1}},
    {"move-none-2-channels", move, .pools = {.n = 2, .n_expected = 2}},
    {"move-file", move, .pools = {.n = 1, .n_expected = 1}, .file = true},
    {"move-zeros-on-main", move, .pools = {.n = 1, .n_expected = 1, .zeros_on_main = true}},
    {"move-zlib", move, .pools = {.n = 1, .n_expected = 1, .method = CODEC_ZLIB, .level = 1}},
    {"move-zstd", move, .pools = {.n = 1, .n_expected = 1, .method = CODEC_ZSTD, .level = 1}},
    {.name = "inline", .run = write_inline},
    {.name = "places", .run = write_places},
    {.name = "places-of-a-file", .run = write_places, .file = true},
    {.name = "main-stream", .run = parse},
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--compiler") == 0) {
#ifdef __clang__
        printf("clang %s\n", __clang_version__);
#else
        printf("gcc %s\n", __VERSION__);
#endif
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        if (argc == 2 && strcmp(argv[1], "--list") == 0)
            puts(pieces[i].name);
        if (argc != 2 || strcmp(argv[1], pieces[i].name) != 0)
            continue;
        pieces[i].run(&pieces[i]);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return 0;
    errx(2, "usage: check_work --compiler|--list|PIECE");
}
