#include "transport/file_channel.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "base/fd.h"

struct file_channel {
    struct channel base;
    int fd;
    uint64_t at; /* bytes from the start of the file */
    _Atomic bool interrupted;
};

static struct file_channel *file_of(struct channel *c)
{
    return (struct file_channel *)c;
}

/* A regular file never waits for a peer, but a long one takes time: it can be interrupted too. */
static int check_interrupted(struct file_channel *f, struct error *err)
{
    if (atomic_load_explicit(&f->interrupted, memory_order_relaxed))
        return err_set(err, ERR_CANCELLED, "interrupted");
    return 0;
}

static int file_sendv(struct channel *c, struct iovec *iov, size_t n, unsigned flags,
                      struct error *err)
{
    struct file_channel *f = file_of(c);

    (void)flags;
    n = iov_advance(&iov, n, 0);
    while (n > 0) {
        if (check_interrupted(f, err) < 0)
            return -1;
        ssize_t len = fd_took(pwritev(f->fd, iov, (int)MIN(n, (size_t)IOV_MAX), (off_t)f->at));

        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return err_sys(err, "write");
        f->at += (uint64_t)len;
        atomic_fetch_add_explicit(&c->bytes_sent, (uint64_t)len, memory_order_relaxed);
        n = iov_advance(&iov, n, (size_t)len);
    }
    return 0;
}

static int file_recvv(struct channel *c, struct iovec *iov, size_t n, size_t min, unsigned flags,
                      size_t *ret_len, struct error *err)
{
    struct file_channel *f = file_of(c);
    size_t done = 0;

    n = iov_advance(&iov, n, 0);
    while (done < min && n > 0) {
        if (check_interrupted(f, err) < 0)
            return -1;
        ssize_t len = preadv(f->fd, iov, (int)MIN(n, (size_t)IOV_MAX), (off_t)f->at);

        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return err_sys(err, "read");
        if (len == 0 && done == 0 && flags & CHANNEL_MAY_IDLE)
            break;
        if (len == 0)
            return err_set(err, ERR_PEER, "the file ends, %zu more bytes expected", min - done);
        f->at += (uint64_t)len;
        done += (size_t)len;
        atomic_fetch_add_explicit(&c->bytes_received, (uint64_t)len, memory_order_relaxed);
        n = iov_advance(&iov, n, (size_t)len);
    }
    *ret_len = done;
    return 0;
}

static void file_interrupt(struct channel *c)
{
    atomic_store_explicit(&file_of(c)->interrupted, true, memory_order_relaxed);
}

static void file_free(struct channel *c)
{
    struct file_channel *f = file_of(c);

    fd_close(&f->fd);
    free(f);
}

static const struct channel_ops file_ops = {
    .name = "file",
    .sendv = file_sendv,
    .recvv = file_recvv,
    .interrupt = file_interrupt,
    .free = file_free,
};

int file_channel_open(int fd, uint64_t offset, struct channel **ret, struct error *err)
{
    AUTO_FD int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (own < 0)
        return err_sys(err, "dup");
    struct file_channel *f = calloc(1, sizeof(*f));
    if (!f)
        return err_sys(err, "memory for a channel");
    f->base.ops = &file_ops;
    f->base.fd = -1;
    f->base.local = true;
    f->fd = fd_take(&own);
    f->at = offset;
    *ret = &f->base;
    return 0;
}

void file_channel_seek(struct channel *c, uint64_t offset)
{
    file_of(c)->at = offset;
}
