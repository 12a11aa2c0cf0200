#include "ram/resident.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "ram/pagemap_scan.h"

#define SCAN_REGIONS 512

/* A pagemap entry: bit 63 present, bit 62 swapped. */
#define PAGEMAP_EXISTS (UINT64_C(3) << 62)
#define PAGEMAP_BATCH  4096

static int scan_once(int fd, struct scan_arg *arg, struct scan_region *regions)
{
    *arg = (struct scan_arg){
        .size = sizeof(*arg),
        .start = arg->walk_end,
        .end = arg->end,
        .vec = (uintptr_t)regions,
        .vec_len = SCAN_REGIONS,
        .category_inverted = SCAN_ZERO,
        .category_mask = SCAN_ZERO, /* inverted: not the zero page */
        .category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
        .return_mask = SCAN_PRESENT,
    };
    return ioctl(fd, SCAN_IOCTL, arg);
}

static int scan_kernel(int fd, const struct ram_block *b, struct dirty_bitmap *ret)
{
    uint64_t base = (uintptr_t)b->host, end = base + b->used_bytes;
    struct scan_region regions[SCAN_REGIONS];
    struct scan_arg arg = {.walk_end = base, .end = end};

    while (arg.walk_end < end) {
        int n = scan_once(fd, &arg, regions);

        if (n < 0)
            return -1;
        for (int i = 0; i < n; i++)
            dirty_bitmap_set_range(ret, (regions[i].start - base) >> RAM_PAGE_BITS,
                                   (regions[i].end - base) >> RAM_PAGE_BITS);
        arg.end = end;
    }
    return 0;
}

static int scan_pagemap(int fd, const struct ram_block *b, struct dirty_bitmap *ret)
{
    uint64_t entries[PAGEMAP_BATCH], pages = ram_block_pages(b);
    uint64_t base = (uintptr_t)b->host >> RAM_PAGE_BITS;

    for (uint64_t page = 0; page < pages;) {
        size_t want = MIN(pages - page, (uint64_t)PAGEMAP_BATCH) * sizeof(*entries);
        ssize_t len = pread(fd, entries, want, (off_t)((base + page) * sizeof(*entries)));

        if (len < (ssize_t)sizeof(*entries))
            return -1;
        for (size_t i = 0; i < (size_t)len / sizeof(*entries); i++, page++) {
            if (entries[i] & PAGEMAP_EXISTS)
                dirty_bitmap_set(ret, page);
        }
    }
    return 0;
}

/* Holes of a file read as zeros; everything else may be data. */
static int scan_file(const struct ram_block *b, struct dirty_bitmap *ret)
{
    off_t at = (off_t)b->fd_offset, end = at + (off_t)b->used_bytes;

    while (at < end) {
        off_t data = lseek(b->fd, at, SEEK_DATA);

        if (data < 0 && errno == ENXIO)
            return 0; /* only a hole is left */
        if (data < 0)
            return -1;
        off_t hole = lseek(b->fd, data, SEEK_HOLE);
        if (hole < 0)
            return -1;
        if (data < end)
            dirty_bitmap_set_range(
                ret, (uint64_t)(data - (off_t)b->fd_offset) >> RAM_PAGE_BITS,
                (uint64_t)(MIN(hole, end) - (off_t)b->fd_offset + RAM_PAGE_SIZE - 1) >>
                    RAM_PAGE_BITS);
        at = hole;
    }
    return 0;
}

static void copy_present(const struct ram_block *b, struct dirty_bitmap *ret)
{
    for (uint64_t w = 0; w < dirty_bitmap_words(ret); w++)
        dirty_bitmap_merge(ret, w, atomic_load_explicit(&b->present[w], memory_order_relaxed));
}

int ram_resident(const struct ram_block *b, struct dirty_bitmap *ret, struct error *err)
{
    if (b->present) {
        copy_present(b, ret);
        return 0;
    }
    if (b->fd >= 0) {
        if (scan_file(b, ret) < 0)
            dirty_bitmap_set_all(ret);
        return 0;
    }
    AUTO_FD int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "/proc/self/pagemap");
    if (scan_kernel(fd, b, ret) < 0 && scan_pagemap(fd, b, ret) < 0)
        dirty_bitmap_set_all(ret);
    return 0;
}

const char *ram_resident_method(void)
{
    AUTO_FD int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    struct scan_region regions[SCAN_REGIONS];
    struct scan_arg arg = {0};

    if (fd < 0)
        return "none";
    return scan_once(fd, &arg, regions) >= 0 ? "pagemap-scan" : "pagemap";
}
