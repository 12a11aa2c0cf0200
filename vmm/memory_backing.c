#include "vmm/memory_backing.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "vmm/huge_pages.h"
#include "vmm/memory_fd.h"
#include "vmm/memory_handed.h"
#include "vmm/numa_bind.h"

#define STAT_BLOCK 512 /* bytes, the unit of st_blocks */

/* --- memory of a file ------------------------------------------------------------------------ */

int memory_backing_activate(int fd, struct error *err)
{
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return err_sys(err, "in use by another guest");
    return 0;
}

void memory_backing_deactivate(int fd)
{
    flock(fd, LOCK_UN);
}

static int map_memfd_of(const struct memory_backing_config *config, struct ram_block *b,
                        unsigned flags, int *ret_fd, struct error *err)
{
    AUTO_FD int fd = memfd_create("guest", MFD_CLOEXEC | flags);

    if (fd < 0)
        return err_sys(err, "memfd");
    if (ftruncate(fd, (off_t)ram_block_mapped_bytes(b)) < 0)
        return err_sys(err, "memfd of %" PRIu64 " MiB", ram_block_mapped_bytes(b) >> 20);
    if (memory_fd_map(config, b, fd, err) < 0 ||
        (b->shared && memory_backing_activate(fd, err) < 0))
        return -1;
    *ret_fd = fd_take(&fd);
    return 0;
}

static int map_memfd(const struct memory_backing_config *config, struct ram_block *b, int *ret_fd,
                     struct error *err)
{
    return map_memfd_of(config, b, 0, ret_fd, err);
}

static int map_anon(const struct memory_backing_config *config, struct ram_block *b, int *ret_fd,
                    struct error *err)
{
    if (memory_backing_is_shared(config))
        return map_memfd(config, b, ret_fd, err);
    return ram_block_map_anonymous(b, err);
}

static int map_hugetlb(const struct memory_backing_config *config, struct ram_block *b, int *ret_fd,
                       struct error *err)
{
    unsigned size_bits = (unsigned)__builtin_ctzll(config->page_bytes);

    b->host_page_bytes = config->page_bytes;
    return map_memfd_of(config, b, MFD_HUGETLB | size_bits << MFD_HUGE_SHIFT, ret_fd, err);
}

/* --- a file with a name ---------------------------------------------------------------------- */

static int open_file(const char *path, int *ret_fd, bool *ret_created, struct error *err)
{
    AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool created = fd >= 0;

    if (!created && errno == EEXIST)
        fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK); /* does not wait for a pipe's other end */
    if (fd < 0)
        return err_sys(err, "open");
    *ret_created = created;
    *ret_fd = fd_take(&fd);
    return 0;
}

/* Refuses a file that another guest uses, or that is not all zeros. */
static int check_fresh(int fd, const struct stat *st, struct error *err)
{
    if (memory_backing_activate(fd, err) < 0)
        return -1;
    /* A file of huge pages has no holes: SEEK_DATA says that all of it is data. */
    if (st->st_blocks > 0 && (lseek(fd, 0, SEEK_DATA) >= 0 || errno != ENXIO))
        return err_set(err, ERR_USAGE,
                       "holds data, but a guest's memory starts as zeros: remove "
                       "the file, or name another one");
    return 0;
}

/*
 * On FUSE a server tells where a file has holes, and it does not know what was recently written
 * through a mapping: such pages would look as if they had never been touched.
 */
static int check_system(const struct statfs *fs, struct error *err)
{
    if (fs->f_type == FUSE_SUPER_MAGIC)
        return err_set(err, ERR_USAGE,
                       "on FUSE, which does not tell what a mapping has written: expected a "
                       "file on tmpfs, hugetlbfs or a disk");
    return 0;
}

static int look_at_file(int fd, struct stat *ret_st, struct statfs *ret_fs, struct error *err)
{
    if (fstat(fd, ret_st) < 0 || fstatfs(fd, ret_fs) < 0)
        return err_sys(err, "what file this is");
    if (!S_ISREG(ret_st->st_mode))
        return err_set(err, ERR_USAGE, "not a regular file");
    return check_system(ret_fs, err);
}

/* The process ends where a file system has no space for a page that is touched: so check before. */
static int check_space(const struct statfs *fs, uint64_t bytes, struct error *err)
{
    uint64_t there = (uint64_t)fs->f_bavail * (uint64_t)fs->f_bsize;

    if (fs->f_blocks && bytes > there) /* f_blocks is 0 where there is no limit */
        return err_set(err, ERR_SYSTEM,
                       "not enough space: %" PRIu64 " MiB needed, %" PRIu64 " MiB free",
                       bytes >> 20, there >> 20);
    return 0;
}

/* True where the file's pages are huge ones. */
static bool note_page_size(const struct statfs *fs, struct ram_block *b)
{
    bool huge = fs->f_type == HUGETLBFS_MAGIC;

    if (huge)
        b->host_page_bytes = (uint64_t)fs->f_bsize;
    return huge;
}

static int map_named(const struct memory_backing_config *config, struct ram_block *b, int fd,
                     struct error *err)
{
    if (memory_fd_map(config, b, fd, err) < 0)
        return -1;
    b->named = b->shared;
    return 0;
}

static int fit_file(const struct memory_backing_config *config, int fd, struct ram_block *b,
                    struct error *err)
{
    struct statfs fs;
    struct stat st;

    if (look_at_file(fd, &st, &fs, err) < 0 || check_fresh(fd, &st, err) < 0)
        return -1;
    bool huge = note_page_size(&fs, b);
    uint64_t bytes = ram_block_mapped_bytes(b);
    if (st.st_size != 0 && (uint64_t)st.st_size != bytes)
        return err_set(err, ERR_USAGE, "%llu bytes long, expected %" PRIu64 " or an empty file",
                       (unsigned long long)st.st_size, bytes);
    uint64_t filled = (uint64_t)st.st_blocks * STAT_BLOCK; /* space that the file has already */
    if (!huge && memory_backing_is_shared(config) &&
        check_space(&fs, bytes - MIN(bytes, filled), err) < 0)
        return -1;
    if (st.st_size == 0 && ftruncate(fd, (off_t)bytes) < 0)
        return err_sys(err, "making it %" PRIu64 " MiB long", bytes >> 20);
    return map_named(config, b, fd, err);
}

/* Does not change the file, and does not activate it: the guest still runs elsewhere. */
static int map_kept(const struct memory_backing_config *config, struct ram_block *b, int *ret_fd,
                    struct error *err)
{
    AUTO_FD int fd = open(config->path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    struct statfs fs;
    struct stat st;

    if (fd < 0)
        return err_sys(err, "open");
    if (look_at_file(fd, &st, &fs, err) < 0)
        return -1;
    note_page_size(&fs, b);
    if ((uint64_t)st.st_size != ram_block_mapped_bytes(b))
        return err_set(err, ERR_USAGE,
                       "%llu bytes long, expected %" PRIu64 ": the memory of a guest of this size",
                       (unsigned long long)st.st_size, ram_block_mapped_bytes(b));
    if (map_named(config, b, fd, err) < 0)
        return -1;
    b->kept = true;
    b->fd = b->shared ? fd : -1; /* also for huge pages: another process has written them */
    *ret_fd = fd_take(&fd);
    return 0;
}

static int map_file(const struct memory_backing_config *config, struct ram_block *b, int *ret_fd,
                    struct error *err)
{
    AUTO_FD int fd = -1;
    bool created = false;

    if (config->keep)
        return map_kept(config, b, ret_fd, err) < 0 ? err_in(err, "%s", config->path) : 0;
    if (open_file(config->path, &fd, &created, err) < 0 || fit_file(config, fd, b, err) < 0) {
        if (created)
            unlink(config->path);
        return err_in(err, "%s", config->path);
    }
    *ret_fd = fd_take(&fd);
    return 0;
}

/* --- all of them ----------------------------------------------------------------------------- */

static int (*const maps[])(const struct memory_backing_config *config, struct ram_block *b,
                           int *ret_fd, struct error *err) = {
    [MEMORY_ANON] = map_anon,
    [MEMORY_MEMFD] = map_memfd,
    [MEMORY_HUGETLB] = map_hugetlb,
    [MEMORY_FILE] = map_file,
};
static_assert(ARRAY_LEN(maps) == MEMORY_KINDS, "a function for each kind");

/* --- making it, or not ----------------------------------------------------------------------- */

static int bind_to(const struct numa_nodes *nodes, const struct ram_block *b, struct error *err)
{
    uint64_t len = ram_block_mapped_bytes(b), huge = b->host_page_bytes;

    /* Huge pages are reserved, but on any node: one that is missing here would end the process. */
    if (huge > RAM_PAGE_SIZE && huge_pages_free_on(huge, nodes) < len / huge)
        return huge_pages_too_few(huge, len / huge, huge_pages_free_on(huge, nodes),
                                  " on these nodes", err);
    return numa_bind_memory(nodes, b->host, len, err);
}

int memory_backing_map(const struct memory_backing_config *config, struct ram_block *b, int *ret_fd,
                       struct error *err)
{
    struct numa_nodes nodes;
    AUTO_FD int fd = -1;

    if (config->handed)
        return memory_handed_map(config, b, ret_fd, err);
    if (config->numa && numa_nodes_parse(config->numa, &nodes, err) < 0)
        return -1;
    if (maps[config->kind](config, b, &fd, err) < 0 ||
        (config->numa && bind_to(&nodes, b, err) < 0)) {
        b->fd = b->memory_fd = -1; /* the descriptor is closed here */
        return err_in(err, "memory, %s", memory_kind_name(config->kind));
    }
    *ret_fd = fd_take(&fd);
    return 0;
}

uint64_t memory_backing_huge_free(uint64_t page_bytes)
{
    return huge_pages_free(page_bytes);
}
