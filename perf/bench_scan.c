/*
 * perf/bench_scan.c: how fast a round finds what it has to send, on one core. Finding zero pages is
 * compared with a loop that only reads, finding the pages that exist with the kernel's own list.
 *
 * If a page's first word is not zero, its scan ends there. Such a page costs one cache line, and
 * its limit is a loop that touches that line. Rates are of guest memory, whether it was read or
 * not.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "perf/bench.h"
#include "ram/dirty_bitmap.h"
#include "ram/pagemap_scan.h"
#include "ram/resident.h"
#include "ram/zero_page.h"

#define MIXED_ZERO_OF 10 /* of so many pages … */
#define MIXED_ZERO    3  /* … so many are zero, as in make_image's memory */
#define HUGE_PAGE     ((size_t)2 << 20)

struct work {
    size_t bytes;
    uint8_t *zero, *full, *mixed, *copy; /* in huge pages */
    struct ram_map huge, small;          /* every other huge page, or 64 KiB, was touched */
};

static volatile uint64_t sink; /* takes the results, so that the compiler keeps the reads */

/* --- limits ----------------------------------------------------------------------------------- */

static struct bench_time read_loop(const struct bench_row *row, void *work)
{
    const struct work *w = work;
    const uint64_t *words = (const uint64_t *)w->zero;
    struct bench_time t = bench_now();
    uint64_t any = 0;

    (void)row;
    for (size_t i = 0; i < w->bytes / sizeof(*words); i += 8)
        any |= words[i] | words[i + 1] | words[i + 2] | words[i + 3] | words[i + 4] | words[i + 5] |
               words[i + 6] | words[i + 7];
    sink = any;
    return bench_since(t);
}

static struct bench_time copy(const struct bench_row *row, void *work)
{
    const struct work *w = work;
    struct bench_time t = bench_now();

    (void)row;
    memcpy(w->copy, w->mixed, w->bytes);
    return bench_since(t);
}

static struct bench_time touch_lines(const struct bench_row *row, void *work)
{
    const struct work *w = work;
    struct bench_time t = bench_now();
    uint64_t any = 0;

    (void)row;
    for (size_t at = 0; at < w->bytes; at += RAM_PAGE_SIZE)
        any |= *(const uint64_t *)(w->full + at);
    sink = any;
    return bench_since(t);
}

static struct bench_time kernel_list(const struct bench_row *row, void *work)
{
    const struct ram_map *map =
        *(const bool *)row->what ? &((struct work *)work)->huge : &((struct work *)work)->small;
    uint64_t begin = (uintptr_t)map->blocks[0].host, end = begin + map->blocks[0].used_bytes;
    struct scan_region regions[512];
    struct scan_arg arg = {.walk_end = begin};
    AUTO_FD int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    struct bench_time t = bench_now();

    while (arg.walk_end < end) {
        arg = (struct scan_arg){
            .size = sizeof(arg),
            .start = arg.walk_end,
            .end = end,
            .vec = (uintptr_t)regions,
            .vec_len = ARRAY_LEN(regions),
            .category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
            .return_mask = SCAN_PRESENT,
        };
        if (ioctl(fd, SCAN_IOCTL, &arg) < 0)
            err(77, "PAGEMAP_SCAN"); /* older than Linux 6.7: nothing to compare with */
    }
    return bench_since(t);
}

/* --- ours ------------------------------------------------------------------------------------- */

enum pages { ZERO, FULL, MIXED };

struct scan {
    const char *method; /* NULL: the one that ramjet chooses */
    enum pages pages;
};

static const uint8_t *pages_of(const struct work *w, enum pages pages)
{
    return pages == ZERO ? w->zero : pages == FULL ? w->full : w->mixed;
}

static bool (*method_named(const char *name))(const void *)
{
    const struct zero_page_method *m = zero_page_methods();

    for (; name && m->name; m++) {
        if (strcmp(m->name, name) == 0)
            return m->fn;
    }
    return zero_page;
}

static struct bench_time find_zeros(const struct bench_row *row, void *work)
{
    const struct work *w = work;
    const struct scan *scan = row->what;
    const uint8_t *pages = pages_of(w, scan->pages);
    bool (*is_zero)(const void *) = method_named(scan->method);
    struct bench_time t = bench_now();
    uint64_t n = 0;

    for (size_t at = 0; at < w->bytes; at += RAM_PAGE_SIZE) {
        __builtin_prefetch(pages + at + 4 * RAM_PAGE_SIZE); /* as send_channel.c does */
        n += is_zero(pages + at);
    }
    sink = n;
    return bench_since(t);
}

static struct bench_time find_resident(const struct bench_row *row, void *work)
{
    const struct ram_map *map =
        *(const bool *)row->what ? &((struct work *)work)->huge : &((struct work *)work)->small;
    struct dirty_bitmap d;
    struct error error;

    bench_must(dirty_bitmap_init(&d, ram_block_pages(&map->blocks[0]), &error), &error);
    struct bench_time t = bench_now();
    bench_must(ram_resident(&map->blocks[0], &d, &error), &error);
    t = bench_since(t);
    if (dirty_bitmap_count(&d) * 2 != ram_block_pages(&map->blocks[0]))
        errx(1, "found %llu pages", (unsigned long long)dirty_bitmap_count(&d));
    dirty_bitmap_done(&d);
    return t;
}

/* --- the memory ------------------------------------------------------------------------------- */

static void map_half(struct ram_map *map, size_t bytes, size_t step, int advice)
{
    struct error error;

    bench_must(ram_map_add(map, "pc.ram", bytes, &error), &error);
    bench_must(ram_block_map_anonymous(&map->blocks[0], &error), &error);
    madvise(map->blocks[0].host, bytes, advice);
    for (size_t at = 0; at < bytes; at += 2 * step)
        memset(map->blocks[0].host + at, 1, step);
}

static void make_memory(struct work *w)
{
    w->zero = bench_memory(w->bytes);
    w->full = bench_memory(w->bytes);
    w->mixed = bench_memory(w->bytes);
    w->copy = bench_memory(w->bytes);
    memset(w->zero, 0, w->bytes);
    for (size_t at = 0, page = 0; at < w->bytes; at += RAM_PAGE_SIZE, page++) {
        if (page * 7 % MIXED_ZERO_OF < MIXED_ZERO)
            memset(w->mixed + at, 0, RAM_PAGE_SIZE);
    }
    map_half(&w->huge, w->bytes, HUGE_PAGE, MADV_HUGEPAGE);
    map_half(&w->small, w->bytes, 64 << 10, MADV_NOHUGEPAGE);
}

static const struct scan chosen_zero = {NULL, ZERO}, chosen_full = {NULL, FULL},
                         chosen_mixed = {NULL, MIXED}, portable = {"portable", ZERO},
                         avx2 = {"avx2", ZERO};
static const bool huge = true, small = false;

static const struct bench_row rows[] = {
    {"read loop", read_loop, NULL, {NULL}, 0},
    {"memcpy", copy, NULL, {NULL}, 0},
    {"a line of each page", touch_lines, NULL, {NULL}, 0},
    {"zero pages", find_zeros, &chosen_zero, {"read loop"}, 0.9},
    {"zero pages, portable", find_zeros, &portable, {"read loop"}, 0},
    {"pages that are not zero", find_zeros, &chosen_full, {"a line of each page"}, 0},
    {"30 % zero", find_zeros, &chosen_mixed, {NULL}, 0},
    {"kernel's list, huge pages", kernel_list, &huge, {NULL}, 0},
    {"pages that exist, huge pages", find_resident, &huge, {"kernel's list, huge pages"}, 0},
    {"kernel's list, small pages", kernel_list, &small, {NULL}, 0},
    {"pages that exist, small pages", find_resident, &small, {"kernel's list, small pages"}, 0},
    {"zero pages, avx2", find_zeros, &avx2, {"read loop"}, 0}, /* last: not every CPU has it */
};

static const char usage[] = "usage: bench_scan [--quick] [--reps N] [--json]\n";

static size_t rows_here(void)
{
    for (const struct zero_page_method *m = zero_page_methods(); m->name; m++) {
        if (strcmp(m->name, "avx2") == 0 && m->fn)
            return ARRAY_LEN(rows);
    }
    return ARRAY_LEN(rows) - 1;
}

int main(int argc, char **argv)
{
    struct bench_options o = bench_options(argc, argv, usage, 9, 1);
    struct work w = {.bytes = o.quick ? 32 << 20 : 1 << 30};
    char note[80];

    if (o.argument)
        errx(2, "%s", usage);
    bench_stay_on_one_core();
    bench_warm(6 * w.bytes);
    make_memory(&w);
    snprintf(note, sizeof(note), "Chosen here: %s, %s.", zero_page_method(), ram_resident_method());
    const struct bench b = {
        .title = "scan",
        .rows = rows,
        .n_rows = rows_here(),
        .work = &w,
        .bytes = w.bytes,
        .note = note,
    };
    bench_run(&b, &o);
    ram_map_done(&w.huge);
    ram_map_done(&w.small);
    return 0;
}
