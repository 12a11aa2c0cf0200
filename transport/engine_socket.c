/*
 * The plain engine: blocking sendmsg and recvmsg, the kernel copies.
 *
 * Blocking calls return every TICK_MS, so that a stall is noticed and an interrupt never missed;
 * shutdown(2) from another thread wakes them at once.
 */
#include <limits.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "transport/engine.h"
#include "transport/transport.h"

#define TICK_MS 500

struct socket_channel {
    struct channel base;
    atomic_bool interrupted;
};

static struct socket_channel *socket_of(struct channel *c)
{
    return (struct socket_channel *)c;
}

/* After an EAGAIN: has the peer been silent for too long since `since`? */
static int check_stall(struct socket_channel *s, uint64_t since, const char *what,
                       struct error *err)
{
    uint64_t limit = atomic_load(&s->base.stall_timeout_ms) * NS_PER_MS;

    if (limit && clock_ns() - since >= limit)
        return err_set(err, ERR_PEER, "%s for %.1f s", what, (double)limit / (double)NS_PER_S);
    return 0;
}

static int check_interrupted(struct socket_channel *s, struct error *err)
{
    if (atomic_load(&s->interrupted))
        return err_set(err, ERR_CANCELLED, "interrupted");
    return 0;
}

static int socket_sendv(struct channel *c, struct iovec *iov, size_t n, unsigned flags,
                        struct error *err)
{
    struct socket_channel *s = socket_of(c);
    uint64_t since = clock_ns();

    /* CHANNEL_BORROW is granted by not borrowing: the kernel has copied when sendmsg returns. */
    int how = MSG_NOSIGNAL | (flags & CHANNEL_NOWAIT ? MSG_DONTWAIT : 0) |
              (flags & CHANNEL_MORE ? MSG_MORE : 0);

    n = iov_advance(&iov, n, 0);
    while (n > 0) {
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = MIN(n, (size_t)IOV_MAX)};
        ssize_t len = sendmsg(s->base.fd, &msg, how);

        if (check_interrupted(s, err) < 0)
            return -1;
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno == EAGAIN && !(flags & CHANNEL_NOWAIT)) {
            if (check_stall(s, since, "the peer has read nothing", err) < 0)
                return -1;
            continue;
        }
        if (len < 0)
            return err_sys(err, "send");
        atomic_fetch_add_explicit(&c->bytes_sent, (uint64_t)len, memory_order_relaxed);
        n = iov_advance(&iov, n, (size_t)len);
        if (n > 0)
            since = clock_ns();
    }
    return 0;
}

static int socket_send_file(struct channel *c, int fd, uint64_t offset, size_t len,
                            struct error *err)
{
    struct socket_channel *s = socket_of(c);
    uint64_t since = clock_ns();
    off_t at = (off_t)offset;

    while (len > 0) {
        ssize_t n = sendfile(s->base.fd, fd, &at, len);

        if (check_interrupted(s, err) < 0)
            return -1;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            if (check_stall(s, since, "the peer has read nothing", err) < 0)
                return -1;
            continue;
        }
        if (n < 0)
            return err_sys(err, "send from the file");
        if (n == 0)
            return err_set(err, ERR_PEER, "the source file ends %zu bytes early: it was cut", len);
        atomic_fetch_add_explicit(&c->bytes_sent, (uint64_t)n, memory_order_relaxed);
        len -= (size_t)n;
        since = clock_ns();
    }
    return 0;
}

static int socket_recvv(struct channel *c, struct iovec *iov, size_t n, size_t min, unsigned flags,
                        size_t *ret_len, struct error *err)
{
    struct socket_channel *s = socket_of(c);
    uint64_t since = 0; /* taken at the first empty tick: the clock is not read on the fast path */
    size_t done = 0;
    int how = (flags & CHANNEL_NOWAIT ? MSG_DONTWAIT : 0) | (flags & CHANNEL_PEEK ? MSG_PEEK : 0);

    n = iov_advance(&iov, n, 0);
    while (done < min && n > 0) {
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = MIN(n, (size_t)IOV_MAX)};
        ssize_t len = recvmsg(s->base.fd, &msg, how);

        /* What had come before the interrupt is still handed out: it may be a verdict. */
        if (len <= 0 && check_interrupted(s, err) < 0)
            return -1;
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno == EAGAIN && !(flags & CHANNEL_NOWAIT)) {
            if (since == 0)
                since = clock_ns() - TICK_MS * NS_PER_MS;
            bool idle = done == 0 && flags & CHANNEL_MAY_IDLE;
            if (!idle && check_stall(s, since, "the peer has sent nothing", err) < 0)
                return -1;
            continue;
        }
        if (len < 0)
            return err_sys(err, "receive");
        if (len == 0 && done == 0 && flags & CHANNEL_MAY_IDLE)
            break;
        if (len == 0)
            return err_set(err, ERR_PEER, "the peer closed the connection, %zu more bytes expected",
                           min - done);
        if (!(flags & CHANNEL_PEEK))
            atomic_fetch_add_explicit(&c->bytes_received, (uint64_t)len, memory_order_relaxed);
        done += (size_t)len;
        n = iov_advance(&iov, n, (size_t)len);
        since = 0;
    }
    *ret_len = done;
    return 0;
}

static void socket_interrupt(struct channel *c)
{
    struct socket_channel *s = socket_of(c);

    atomic_store(&s->interrupted, true);
    shutdown(s->base.fd, SHUT_RDWR);
}

static void socket_free(struct channel *c)
{
    struct socket_channel *s = socket_of(c);

    fd_close(&s->base.fd);
    free(s);
}

static const struct channel_ops socket_ops = {
    .name = "socket",
    .sendv = socket_sendv,
    .send_file = socket_send_file,
    .recvv = socket_recvv,
    .interrupt = socket_interrupt,
    .free = socket_free,
};

static int socket_open(int fd, const struct engine_config *config, struct channel **ret,
                       struct error *err)
{
    AUTO_FD int own = fd;
    struct timeval tick = {.tv_usec = TICK_MS * 1000};
    struct socket_channel *s = calloc(1, sizeof(*s));

    if (!s)
        return err_sys(err, "memory for a channel");
    if (setsockopt(own, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)) < 0 ||
        setsockopt(own, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof(tick)) < 0) {
        free(s);
        return err_sys(err, "SO_RCVTIMEO");
    }
    s->base.ops = &socket_ops;
    atomic_init(&s->base.stall_timeout_ms, config->stall_timeout_ms);
    s->base.local = transport_is_local(own);
    s->base.fd = fd_take(&own);
    *ret = &s->base;
    return 0;
}

const struct engine engine_socket = {.name = "socket", .open = socket_open};
