/*
 * The plain engine: blocking sendmsg and recvmsg. The kernel copies the pages, or with --zero-copy
 * sends them without copying (MSG_ZEROCOPY).
 */
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "transport/fd_channel.h"

/*
 * After this many borrowing sends we read the kernel's reports. Each report takes 576 bytes of
 * optmem_max until it is read, and optmem_max is 20 KiB on older kernels.
 */
#define COLLECT_AT 16

static ssize_t socket_send(struct fd_channel *f, struct iovec *iov, size_t n, unsigned flags)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = MIN(n, (size_t)IOV_MAX)};
    bool borrow = flags & CHANNEL_BORROW;
    int how = MSG_NOSIGNAL | (flags & CHANNEL_NOWAIT ? MSG_DONTWAIT : 0) |
              (flags & CHANNEL_MORE ? MSG_MORE : 0) | (borrow ? MSG_ZEROCOPY : 0);
    ssize_t len = sendmsg(f->base.fd, &msg, how);

    if (len < 0 || !borrow)
        return len;
    if (++f->zero_copy.lent % COLLECT_AT == 0 && zero_copy_collect(&f->zero_copy, f->base.fd) < 0 &&
        errno != EAGAIN)
        return -1;
    return len;
}

static ssize_t socket_receive(struct fd_channel *f, struct iovec *iov, size_t n, size_t min,
                              unsigned flags)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = MIN(n, (size_t)IOV_MAX)};
    int how = (flags & CHANNEL_NOWAIT ? MSG_DONTWAIT : 0) | (flags & CHANNEL_PEEK ? MSG_PEEK : 0);

    (void)min;
    return recvmsg(f->base.fd, &msg, how);
}

static int socket_await_returned(struct fd_channel *f)
{
    return zero_copy_await(&f->zero_copy, f->base.fd, (int)f->tick_ms);
}

static const struct fd_channel_moves socket_moves = {
    .send = socket_send,
    .receive = socket_receive,
    .await_returned = socket_await_returned,
};

static void socket_free(struct channel *c)
{
    struct fd_channel *f = fd_channel_of(c);

    fd_channel_done(f);
    free(f);
}

static const struct channel_ops socket_ops = {
    .name = "socket",
    .sendv = fd_channel_sendv,
    .send_file = fd_channel_send_file,
    .recvv = fd_channel_recvv,
    .drain = fd_channel_drain,
    .interrupt = fd_channel_interrupt,
    .free = socket_free,
};

static int socket_open(int fd, const struct engine_config *config, struct channel **ret,
                       struct error *err)
{
    AUTO_FD int own = fd;
    struct fd_channel *f = calloc(1, sizeof(*f));

    if (!f)
        return err_sys(err, "memory for a channel");
    if ((config->zero_copy && zero_copy_check_reports(own, err) < 0) ||
        fd_channel_init(f, own, &socket_ops, &socket_moves, config, err) < 0) {
        free(f);
        return -1;
    }
    fd_take(&own);
    *ret = &f->base;
    return 0;
}

const struct engine engine_socket = {.name = "socket", .open = socket_open};
