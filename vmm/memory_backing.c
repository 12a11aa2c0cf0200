#include "vmm/memory_backing.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "vmm/numa_bind.h"

#define MIB(n) (UINT64_C(n) << 20)
#define GIB(n) (UINT64_C(n) << 30)

#define STAT_BLOCK 512 /* bytes, the unit of st_blocks */

static const struct huge_size {
    const char *name;
    uint64_t bytes;
} huge_sizes[] = {
    {"2M", MIB(2)},
    {"1G", GIB(1)},
};

/* --- what the user says ---------------------------------------------------------------------- */

static int parse_nothing(const char *rest, struct memory_backing_config *ret)
{
    (void)ret;
    return rest ? -1 : 0;
}

static int parse_huge_size(const char *rest, struct memory_backing_config *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(huge_sizes); i++) {
        if (strcmp(rest ? rest : huge_sizes[0].name, huge_sizes[i].name) != 0)
            continue;
        ret->page_bytes = huge_sizes[i].bytes;
        return 0;
    }
    return -1;
}

static int parse_path(const char *rest, struct memory_backing_config *ret)
{
    ret->path = rest;
    return rest && rest[0] ? 0 : -1;
}

static const struct {
    const char *name;
    int (*parse)(const char *rest, struct memory_backing_config *ret);
} kinds[] = {
    [MEMORY_ANON] = {"anon", parse_nothing},
    [MEMORY_MEMFD] = {"memfd", parse_nothing},
    [MEMORY_HUGETLB] = {"hugetlb", parse_huge_size},
    [MEMORY_FILE] = {"file", parse_path},
};
static_assert(ARRAY_LEN(kinds) == MEMORY_KINDS, "a row for each kind");

const char *memory_kind_name(enum memory_kind kind)
{
    return kinds[kind].name;
}

int memory_kind_find(const char *name, enum memory_kind *ret, struct error *err)
{
    for (size_t i = 0; i < MEMORY_KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *ret = (enum memory_kind)i;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE, "'%.40s', expected anon, memfd, hugetlb or file", name);
}

int memory_backing_check_huge(uint64_t page_bytes, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(huge_sizes); i++) {
        if (huge_sizes[i].bytes == page_bytes)
            return 0;
    }
    return err_set(err, ERR_USAGE, "huge pages of %" PRIu64 " bytes, expected 2M or 1G",
                   page_bytes);
}

bool memory_backing_is_shared(const struct memory_backing_config *config)
{
    if (config->sharing == MEMORY_SHARED_USUALLY)
        return config->kind != MEMORY_ANON;
    return config->sharing == MEMORY_SHARED;
}

int memory_backing_parse(const char *text, struct memory_backing_config *ret, struct error *err)
{
    size_t len = strcspn(text, ":");
    const char *rest = text[len] ? text + len + 1 : NULL;

    for (size_t i = 0; i < MEMORY_KINDS; i++) {
        struct memory_backing_config config = {.kind = (enum memory_kind)i};

        if (strlen(kinds[i].name) != len || strncmp(text, kinds[i].name, len) != 0)
            continue;
        if (kinds[i].parse(rest, &config) < 0)
            break;
        *ret = config;
        return 0;
    }
    return err_set(err, ERR_USAGE, "memory '%s', expected " MEMORY_BACKING_SYNTAX, text);
}

/* --- huge pages ------------------------------------------------------------------------------ */

/* A number that the kernel shows in the folder `where`; 0 where it shows none. */
static uint64_t huge_pages(const char *where, uint64_t page_bytes, const char *what)
{
    char path[160], text[32] = "";

    snprintf(path, sizeof(path), "%s/hugepages-%" PRIu64 "kB/%s", where, page_bytes >> 10, what);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
        return 0;
    return strtoull(text, NULL, 10);
}

/* Without free pages that are reserved already. */
uint64_t memory_backing_huge_free(uint64_t page_bytes)
{
    uint64_t there = huge_pages("/sys/kernel/mm/hugepages", page_bytes, "free_hugepages");
    uint64_t promised = huge_pages("/sys/kernel/mm/hugepages", page_bytes, "resv_hugepages");

    return there - MIN(there, promised);
}

static uint64_t huge_pages_on(uint64_t page_bytes, const struct numa_nodes *nodes)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < NUMA_NODES_MAX; i++) {
        char where[64];

        snprintf(where, sizeof(where), "/sys/devices/system/node/node%u/hugepages", i);
        if (numa_nodes_has(nodes, i))
            sum += huge_pages(where, page_bytes, "free_hugepages");
    }
    return sum;
}

static int too_few(uint64_t page_bytes, uint64_t needed, uint64_t there, const char *where,
                   struct error *err)
{
    return err_set(err, ERR_SYSTEM,
                   "%" PRIu64 " huge pages of %" PRIu64 " MiB needed%s, %" PRIu64
                   " free: raise %s/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/nr_hugepages",
                   needed, page_bytes >> 20, where, there,
                   page_bytes == MIB(2) ? "vm.nr_hugepages, which is " : "", page_bytes >> 10);
}

/* --- memory of a file ------------------------------------------------------------------------ */

/* mmap() reserves all huge pages: one that is missing later would end the process. */
static int map_fd(const struct memory_backing_config *config, struct ram_block *b, int fd,
                  struct error *err)
{
    bool huge = b->host_page_bytes > RAM_PAGE_SIZE, shared = memory_backing_is_shared(config);
    int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (huge ? 0 : MAP_NORESERVE);
    uint64_t len = ram_block_mapped_bytes(b);
    void *host = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0);

    if (host == MAP_FAILED && huge && errno == ENOMEM)
        return too_few(b->host_page_bytes, len / b->host_page_bytes,
                       memory_backing_huge_free(b->host_page_bytes), "", err);
    if (host == MAP_FAILED)
        return err_sys(err, "%" PRIu64 " MiB of memory", len >> 20);
    b->host = host;
    b->mapped = true;
    b->shared = shared;
    /* The holes of a file at b->fd are pages that were never touched. That is wrong for private
     * memory, whose writes do not get into the file; and a file of huge pages does not tell its
     * holes. There the page tables tell it: all its contents were written through this mapping. */
    b->fd = shared && !huge ? fd : -1;
    b->memory_fd = shared ? fd : -1;
    return 0;
}

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
    if (map_fd(config, b, fd, err) < 0 || (b->shared && memory_backing_activate(fd, err) < 0))
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
    if (map_fd(config, b, fd, err) < 0)
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

/* --- memory that was handed over ------------------------------------------------------------- */

/* The kernel names it so; names of files on a disk do not begin like that. */
static bool is_memfd(int fd)
{
    static const char prefix[] = "/memfd:";
    char link[32], target[sizeof(prefix)];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, target, sizeof(target));
    return n >= (ssize_t)strlen(prefix) && memcmp(target, prefix, strlen(prefix)) == 0;
}

/* Memory that was handed over, to compare with what this machine would have made. */
struct handed {
    int fd;
    struct stat st;
    struct statfs fs;
};

static int check_memfd(const struct memory_backing_config *config, const struct handed *h,
                       struct ram_block *b, struct error *err)
{
    (void)config;
    (void)b;
    if (!is_memfd(h->fd) || h->fs.f_type == HUGETLBFS_MAGIC)
        return err_set(err, ERR_PEER, "it is no memfd of small pages");
    return 0;
}

static int check_hugetlb(const struct memory_backing_config *config, const struct handed *h,
                         struct ram_block *b, struct error *err)
{
    if (!is_memfd(h->fd) || h->fs.f_type != HUGETLBFS_MAGIC ||
        (uint64_t)h->fs.f_bsize != config->page_bytes)
        return err_set(err, ERR_PEER, "it is no memfd of huge pages of %" PRIu64 " MiB",
                       config->page_bytes >> 20);
    b->host_page_bytes = config->page_bytes;
    return 0;
}

static int check_named(const struct memory_backing_config *config, const struct handed *h,
                       struct ram_block *b, struct error *err)
{
    struct stat named;

    if (stat(config->path, &named) < 0)
        return err_sys(err, "%s", config->path);
    if (named.st_dev != h->st.st_dev || named.st_ino != h->st.st_ino)
        return err_set(err, ERR_PEER, "it is another file than %s", config->path);
    if (h->fs.f_type == HUGETLBFS_MAGIC)
        b->host_page_bytes = (uint64_t)h->fs.f_bsize;
    b->named = true;
    return 0;
}

static int (*const checks[])(const struct memory_backing_config *config, const struct handed *h,
                             struct ram_block *b, struct error *err) = {
    [MEMORY_ANON] = check_memfd, /* only called where it is shared */
    [MEMORY_MEMFD] = check_memfd,
    [MEMORY_HUGETLB] = check_hugetlb,
    [MEMORY_FILE] = check_named,
};
static_assert(ARRAY_LEN(checks) == MEMORY_KINDS, "a check for each kind");

static int map_handed_fd(const struct memory_backing_config *config, int fd, struct ram_block *b,
                         struct error *err)
{
    struct handed h = {.fd = fd};

    if (!memory_backing_is_shared(config))
        return err_set_with(err, ERR_USAGE, REMEDY_SAME_BACKEND,
                            "memory of this process alone cannot be handed over");
    if (fstat(fd, &h.st) < 0 || fstatfs(fd, &h.fs) < 0)
        return err_sys(err, "descriptor %d", fd);
    if (!S_ISREG(h.st.st_mode))
        return err_set(err, ERR_PEER, "it is neither a memfd nor a regular file");
    if (checks[config->kind](config, &h, b, err) < 0)
        return -1;
    if ((uint64_t)h.st.st_size != ram_block_mapped_bytes(b))
        return err_set_with(err, ERR_PEER, REMEDY_SAME_MEMORY,
                            "it is %llu bytes long, expected %" PRIu64,
                            (unsigned long long)h.st.st_size, ram_block_mapped_bytes(b));
    if (map_fd(config, b, fd, err) < 0)
        return -1;
    b->fd = fd; /* also for huge pages: much of their contents is not of this process */
    return 0;
}

/* A lock belongs to an open file, and the descriptor that came shares its open file with the
 * sender: we need one of our own. */
static int reopen(int fd, int *ret, struct error *err)
{
    char path[32];

    if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR) {
        errno = EACCES;
        return err_sys(err, "descriptor %d is not for writing", fd);
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    *ret = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    return *ret < 0 ? err_sys(err, "open") : 0;
}

static int map_handed(const struct memory_backing_config *config, struct ram_block *b, int *ret_fd,
                      struct error *err)
{
    AUTO_FD int passed = cpr_state_take(config->handed, b->name);
    AUTO_FD int fd = -1;

    if (passed < 0)
        return err_set(err, ERR_PEER, "RAM block '%s': it was not handed over", b->name);
    if (reopen(passed, &fd, err) < 0 || map_handed_fd(config, fd, b, err) < 0)
        return err_in(err, "RAM block '%s' as it was handed over", b->name);
    *ret_fd = fd_take(&fd);
    return 0;
}

/* --- making it, or not ----------------------------------------------------------------------- */

static int bind_to(const struct numa_nodes *nodes, const struct ram_block *b, struct error *err)
{
    uint64_t len = ram_block_mapped_bytes(b), huge = b->host_page_bytes;

    /* Huge pages are reserved, but on any node: one that is missing here would end the process. */
    if (huge > RAM_PAGE_SIZE && huge_pages_on(huge, nodes) < len / huge)
        return too_few(huge, len / huge, huge_pages_on(huge, nodes), " on these nodes", err);
    return numa_bind_memory(nodes, b->host, len, err);
}

int memory_backing_map(const struct memory_backing_config *config, struct ram_block *b, int *ret_fd,
                       struct error *err)
{
    struct numa_nodes nodes;
    AUTO_FD int fd = -1;

    if (config->handed)
        return map_handed(config, b, ret_fd, err);
    if (config->numa && numa_nodes_parse(config->numa, &nodes, err) < 0)
        return -1;
    if (maps[config->kind](config, b, &fd, err) < 0 ||
        (config->numa && bind_to(&nodes, b, err) < 0)) {
        b->fd = b->memory_fd = -1; /* the descriptor is closed here */
        return err_in(err, "memory, %s", kinds[config->kind].name);
    }
    *ret_fd = fd_take(&fd);
    return 0;
}
