#include "vmm/dirty_uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "ram/pagemap_scan.h"

/* What older headers do not have (Linux, include/uapi/linux/userfaultfd.h). */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

/*
 * Bytes that one call scans: for each call that protects anything, KVM drops its mappings of all of
 * them. REGIONS is enough for a piece in which every other page is dirty.
 */
#define PIECE   (UINT64_C(64) << 20) /* bytes */
#define REGIONS (PIECE / RAM_PAGE_SIZE / 2)

static const struct {
    uint64_t bit;
    const char *name;
} features[] = {
    {UFFD_FEATURE_PAGEFAULT_FLAG_WP, "write protection"},
    {UFFD_FEATURE_WP_HUGETLBFS_SHMEM, "write protection of shared memory (Linux 5.19)"},
    {UFFD_FEATURE_WP_UNPOPULATED, "WP_UNPOPULATED (Linux 6.4)"},
    {UFFD_FEATURE_WP_ASYNC, "WP_ASYNC (Linux 6.7)"},
};

struct dirty_uffd {
    struct dirty_source base;
    const struct ram_map *map;
    int uffd; /* -1: stopped */
    int pagemap;
    struct scan_region *regions;
};

static struct dirty_uffd *uffd_of(struct dirty_source *s)
{
    return CONTAINER_OF(s, struct dirty_uffd, base);
}

/* --- negotiation ----------------------------------------------------------------------------- */

/*
 * USER_MODE_ONLY, because then no privilege is needed. Nothing is lost by it: the kernel itself
 * lifts asynchronous protection, and notices its own accesses as well.
 */
static int open_uffd(uint64_t wanted, uint64_t *ret_there, int *ret_fd, struct error *err)
{
    struct uffdio_api api = {.api = UFFD_API, .features = wanted};
    AUTO_FD int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

    if (fd < 0)
        return err_sys(err, "userfaultfd");
    if (ioctl(fd, UFFDIO_API, &api) < 0)
        return err_sys(err, "userfaultfd: its features");
    *ret_there = api.features;
    *ret_fd = fd_take(&fd);
    return 0;
}

/* On a descriptor of its own: UFFDIO_API works only once on each. */
static int check_features(uint64_t *ret_wanted, struct error *err)
{
    uint64_t there, wanted = 0;
    AUTO_FD int fd = -1;

    if (open_uffd(0, &there, &fd, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        if (!(there & features[i].bit))
            return err_set(err, ERR_SYSTEM, "userfaultfd: this kernel lacks %s", features[i].name);
        wanted |= features[i].bit;
    }
    *ret_wanted = wanted;
    return 0;
}

static int negotiate(int *ret_fd, struct error *err)
{
    uint64_t wanted, there;

    if (check_features(&wanted, err) < 0)
        return -1;
    return open_uffd(wanted, &there, ret_fd, err);
}

int dirty_uffd_usable(struct error *err)
{
    AUTO_FD int fd = -1;

    return negotiate(&fd, err);
}

/* --- looking --------------------------------------------------------------------------------- */

/*
 * Finds the pages that were written, from arg->walk_end on, and protects them again in the same
 * step.
 *
 * A page that is not mapped counts as written, and is protected by a marker in its page table. For
 * a file that is right: the kernel may have unmapped a page that was written, and nothing else
 * tells of the write. An anonymous page that holds anything is present or in swap. Pages that were
 * never touched are left out, or they would get page tables and could no longer be huge pages. The
 * first write to such a page makes it present and not protected, so the next scan finds it.
 */
static int scan(struct dirty_uffd *u, const struct ram_block *b, struct scan_arg *arg, uint64_t end,
                struct error *err)
{
    *arg = (struct scan_arg){
        .size = sizeof(*arg),
        .flags = SCAN_PROTECT | SCAN_CHECK_WPASYNC,
        .start = arg->walk_end,
        .end = end,
        .vec = (uintptr_t)u->regions,
        .vec_len = REGIONS,
        .category_mask = SCAN_WRITTEN,
        .category_anyof_mask = b->fd < 0 ? SCAN_PRESENT | SCAN_SWAPPED : 0,
        .return_mask = SCAN_WRITTEN,
    };
    int n = ioctl(u->pagemap, SCAN_IOCTL, arg);

    return n < 0 ? err_sys(err, "PAGEMAP_SCAN") : n;
}

/* Adds `n` regions to the bitmap; a huge page may reach beyond the block's end. */
static uint64_t add_regions(const struct dirty_uffd *u, const struct ram_block *b, int n,
                            struct dirty_bitmap *d)
{
    uint64_t base = (uintptr_t)b->host, pages = 0;

    for (int i = 0; i < n; i++) {
        uint64_t end = (u->regions[i].end - base) >> RAM_PAGE_BITS;

        pages += dirty_bitmap_set_range(d, (u->regions[i].start - base) >> RAM_PAGE_BITS,
                                        MIN(end, d->n_pages));
    }
    return pages;
}

/* `d` NULL: only protects the pages, whichever were written. */
static int scan_block(struct dirty_uffd *u, const struct ram_block *b, struct dirty_bitmap *d,
                      uint64_t *pages, struct error *err)
{
    uint64_t at = (uintptr_t)b->host, end = at + ram_block_mapped_bytes(b);
    uint64_t piece = MAX(PIECE, b->host_page_bytes); /* a huge page is scanned as a whole */

    for (; at < end; at += piece) {
        uint64_t piece_end = MIN(at + piece, end);
        struct scan_arg arg = {.walk_end = at};

        while (arg.walk_end < piece_end) {
            int n = scan(u, b, &arg, piece_end, err);

            if (n < 0)
                return err_in(err, "RAM block '%s'", b->name);
            if (d)
                *pages += add_regions(u, b, n, d);
        }
    }
    return 0;
}

/* --- the source ------------------------------------------------------------------------------ */

static struct uffdio_range range_of(const struct ram_block *b)
{
    return (struct uffdio_range){.start = (uintptr_t)b->host, .len = ram_block_mapped_bytes(b)};
}

static int arm(struct dirty_uffd *u, const struct ram_block *b, struct error *err)
{
    struct uffdio_register reg = {.range = range_of(b), .mode = UFFDIO_REGISTER_MODE_WP};

    if (ioctl(u->uffd, UFFDIO_REGISTER, &reg) < 0)
        return err_sys(err, "RAM block '%s': userfaultfd", b->name);
    return scan_block(u, b, NULL, NULL, err);
}

static void uffd_stop(struct dirty_source *s)
{
    struct dirty_uffd *u = uffd_of(s);

    /* Closing only drops the registration; this also removes the protection of the pages. */
    for (size_t i = 0; u->uffd >= 0 && i < u->map->n; i++) {
        struct uffdio_range range = range_of(&u->map->blocks[i]);

        ioctl(u->uffd, UFFDIO_UNREGISTER, &range); /* EINVAL where start() did not get so far */
    }
    fd_close(&u->uffd);
}

static int uffd_start(struct dirty_source *s, struct error *err)
{
    struct dirty_uffd *u = uffd_of(s);

    uffd_stop(s);
    if (negotiate(&u->uffd, err) < 0)
        return -1;
    for (size_t i = 0; i < u->map->n; i++) {
        if (arm(u, &u->map->blocks[i], err) < 0)
            return -1;
    }
    return 0;
}

static int uffd_sync(struct dirty_source *s, struct dirty_bitmap *bitmaps, uint64_t *ret_pages,
                     struct error *err)
{
    struct dirty_uffd *u = uffd_of(s);
    uint64_t pages = 0;

    for (size_t i = 0; i < u->map->n; i++) {
        if (scan_block(u, &u->map->blocks[i], &bitmaps[i], &pages, err) < 0)
            return -1;
    }
    *ret_pages = pages;
    return 0;
}

static const struct dirty_source_ops uffd_ops = {
    .start = uffd_start,
    .sync = uffd_sync,
    .stop = uffd_stop,
};

int dirty_uffd_new(const struct ram_map *map, struct dirty_source **ret, struct error *err)
{
    struct dirty_uffd *u = calloc(1, sizeof(*u));

    if (!u)
        return err_sys(err, "memory for a dirty source");
    u->base.ops = &uffd_ops;
    u->map = map;
    u->uffd = -1;
    u->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    u->regions = calloc(REGIONS, sizeof(*u->regions));
    int rc = u->pagemap < 0 ? err_sys(err, "/proc/self/pagemap")
             : !u->regions  ? err_sys(err, "memory for a dirty source")
                            : dirty_uffd_usable(err);
    if (rc < 0) {
        dirty_uffd_free(&u->base);
        return -1;
    }
    *ret = &u->base;
    return 0;
}

void dirty_uffd_free(struct dirty_source *s)
{
    if (!s)
        return;
    struct dirty_uffd *u = uffd_of(s);

    uffd_stop(s);
    fd_close(&u->pagemap);
    free(u->regions);
    free(u);
}
