#include "vmm/memory_handed.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "vmm/memory_fd.h"

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
    if (memory_fd_map(config, b, fd, err) < 0)
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

int memory_handed_map(const struct memory_backing_config *config, struct ram_block *b, int *ret_fd,
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
