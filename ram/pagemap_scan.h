/*
 * ram/pagemap_scan.h: the PAGEMAP_SCAN ioctl of /proc/PID/pagemap, for headers older than
 * Linux 6.7. Format: Linux, include/uapi/linux/fs.h and Documentation/admin-guide/mm/pagemap.rst.
 */
#pragma once

#include <stdint.h>
#include <sys/ioctl.h>

/* A run of pages with the same categories; addresses in bytes. */
struct scan_region {
    uint64_t start, end, categories;
};

struct scan_arg {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)

/* Flags. */
#define SCAN_PROTECT       (1U << 0) /* finds and write-protects pages in one atomic step */
#define SCAN_CHECK_WPASYNC (1U << 1) /* fails on memory without userfaultfd's WP_ASYNC */

/* Categories. */
#define SCAN_WRITTEN (1U << 1) /* not write-protected by userfaultfd */
#define SCAN_PRESENT (1U << 3)
#define SCAN_SWAPPED (1U << 4)
#define SCAN_ZERO    (1U << 5) /* the shared zero page: the page was read, never written */
