#include "transport/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "transport/scheme.h"

/* O_NONBLOCK: do not wait for the other end of a pipe, which is refused anyway. */
static int open_file(const struct address *a, int flags, struct stat *ret_st, int *ret_fd,
                     struct error *err)
{
    AUTO_FD int fd = open(a->file, flags | O_NONBLOCK | O_CLOEXEC, 0600);

    if (fd < 0 || fstat(fd, ret_st) < 0)
        return err_sys(err, "%s", a->file);
    *ret_fd = fd_take(&fd);
    return 0;
}

static int open_regular(const struct address *a, int flags, int *ret_fd, struct error *err)
{
    AUTO_FD int fd = -1;
    struct stat st;

    if (open_file(a, flags, &st, &fd, err) < 0)
        return -1;
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_USAGE, "%s: not a regular file", a->file);
    *ret_fd = fd_take(&fd);
    return 0;
}

/* Opens a regular file, or a block device, which may be longer than the stream on it. */
static int open_readable(const struct address *a, int *ret_fd, uint64_t *ret_bytes,
                         struct error *err)
{
    AUTO_FD int fd = -1;
    struct stat st;

    if (open_file(a, O_RDONLY, &st, &fd, err) < 0)
        return -1;
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_set(err, ERR_USAGE, "%s: neither a regular file nor a block device", a->file);
    off_t bytes = S_ISBLK(st.st_mode) ? lseek(fd, 0, SEEK_END) : st.st_size;
    if (bytes < 0)
        return err_sys(err, "%s: its size", a->file);
    *ret_bytes = (uint64_t)bytes;
    *ret_fd = fd_take(&fd);
    return 0;
}

/*
 * A writer locks the file for itself, readers share their lock. A file system without locks fails
 * with another errno than EWOULDBLOCK: then we go on without a lock.
 */
static int lock(const struct address *a, int fd, int how, struct error *err)
{
    if (flock(fd, how | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 0;
    return err_set(err, ERR_USAGE, "%s: in use: %s", a->file,
                   how == LOCK_EX ? "another VM writes it, or is being loaded from it"
                                  : "another VM writes it");
}

/* Opens by the descriptor: another file may have the name by now. */
int file_direct_open(const char *name, int fd, int access, int *ret_fd, struct error *err)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int direct = open(path, access | O_DIRECT | O_CLOEXEC);
    if (direct < 0 && errno == EINVAL)
        return err_set(err, ERR_SYSTEM, "%s: its file system has no O_DIRECT: switch direct-io off",
                       name);
    if (direct < 0)
        return err_sys(err, "%s: O_DIRECT", name);
    *ret_fd = direct;
    return 0;
}

int file_target_open(const struct address *to, struct file_target *ret, struct error *err)
{
    struct error ignored;
    AUTO_FD int fd = -1;
    bool created = open_regular(to, O_RDWR | O_CREAT | O_EXCL, &fd, &ignored) == 0;

    if (!created && open_regular(to, O_RDWR | O_CREAT, &fd, err) < 0)
        return -1;
    if (lock(to, fd, LOCK_EX, err) < 0)
        return -1;
    if (ftruncate(fd, (off_t)to->offset) < 0) {
        err_sys(err, "%s: making it %" PRIu64 " bytes long", to->file, to->offset);
        if (created)
            unlink(to->file);
        return -1;
    }
    *ret = (struct file_target){.to = to, .fd = fd_take(&fd), .created = created};
    return 0;
}

int file_target_extend(const struct file_target *f, uint64_t bytes, struct error *err)
{
    if (ftruncate(f->fd, (off_t)bytes) < 0)
        return err_sys(err, "%s: making it %" PRIu64 " bytes long", f->to->file, bytes);
    return 0;
}

void file_target_abandon(struct file_target *f)
{
    if (f->fd < 0)
        return;
    if (f->created)
        unlink(f->to->file);
    else if (ftruncate(f->fd, (off_t)f->to->offset) < 0)
        return; /* we can do no more; readers refuse a stream without an end */
}

void file_target_unlock(const struct file_target *f)
{
    if (f->fd >= 0)
        flock(f->fd, LOCK_UN);
}

void file_target_done(struct file_target *f)
{
    fd_close(&f->fd);
}

int file_source_open(const struct address *from, int *ret_fd, uint64_t *ret_bytes,
                     struct error *err)
{
    AUTO_FD int fd = -1;
    uint64_t bytes = 0;

    if (open_readable(from, &fd, &bytes, err) < 0 || lock(from, fd, LOCK_SH, err) < 0)
        return -1;
    if (from->offset > bytes)
        return err_set(err, ERR_USAGE, "%s: %" PRIu64 " bytes long, shorter than offset=%" PRIu64,
                       from->file, bytes, from->offset);
    *ret_bytes = bytes;
    *ret_fd = fd_take(&fd);
    return 0;
}

/* --- as a scheme ----------------------------------------------------------------------------- */

static int refuse(const struct address *a, struct error *err)
{
    return err_set(err, ERR_USAGE, "%s: expected an address, not a file", a->text);
}

static int file_dial(const struct address *to, const struct transport_config *config, int *ret_fd,
                     struct error *err)
{
    (void)config;
    (void)ret_fd;
    return refuse(to, err);
}

static int file_listen(const struct address *at, const struct transport_config *config,
                       struct listener *l, struct error *err)
{
    (void)config;
    (void)l;
    return refuse(at, err);
}

/* A file is not dialled. `many`, because it may be opened any number of times. */
const struct scheme_ops scheme_file = {.many = true, .dial = file_dial, .listen = file_listen};
