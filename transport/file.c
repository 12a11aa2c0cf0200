#include "transport/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "transport/scheme.h"

/* Not waiting for a pipe's other end: it is no regular file anyway. */
static int open_regular(const struct address *a, int flags, int *ret_fd, uint64_t *ret_bytes,
                        struct error *err)
{
    AUTO_FD int fd = open(a->file, flags | O_NONBLOCK | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, "%s", a->file);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_USAGE, "%s: not a regular file", a->file);
    *ret_bytes = (uint64_t)st.st_size;
    *ret_fd = fd_take(&fd);
    return 0;
}

int file_target_open(const struct address *to, struct file_target *ret, struct error *err)
{
    struct error ignored;
    uint64_t bytes;
    AUTO_FD int fd = -1;
    bool created = open_regular(to, O_RDWR | O_CREAT | O_EXCL, &fd, &bytes, &ignored) == 0;

    if (!created && open_regular(to, O_RDWR | O_CREAT, &fd, &bytes, err) < 0)
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

void file_target_abandon(struct file_target *f)
{
    if (f->fd < 0)
        return;
    if (f->created)
        unlink(f->to->file);
    else if (ftruncate(f->fd, (off_t)f->to->offset) < 0)
        return; /* no more can be done: no reader takes a stream without an end */
}

void file_target_done(struct file_target *f)
{
    fd_close(&f->fd);
}

int file_source_open(const struct address *from, int *ret_fd, uint64_t *ret_bytes,
                     struct error *err)
{
    AUTO_FD int fd = -1;
    uint64_t bytes;

    if (open_regular(from, O_RDONLY, &fd, &bytes, err) < 0)
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

static int file_listen(const struct address *at, struct listener *l, struct error *err)
{
    (void)l;
    return refuse(at, err);
}

/* Nobody is at the other end: it is opened, and as often as one likes. */
const struct scheme_ops scheme_file = {.many = true, .dial = file_dial, .listen = file_listen};
