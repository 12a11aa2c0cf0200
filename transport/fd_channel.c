#include "transport/fd_channel.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "transport/transport.h"

#define TICK_MS 500

/* The bytes that the peer's machine has not acknowledged. */
static int unacknowledged(const struct fd_channel *f)
{
    int bytes = 0;

    ioctl(f->base.fd, SIOCOUTQ, &bytes);
    return bytes;
}

/* A wait while sending. */
struct sending {
    uint64_t since; /* of the last progress */
    int left;       /* unacknowledged at the last tick */
};

/* The error of a stalled wait. The remedy fits only the user's limit: our code also sets others. */
static int stalled(const struct fd_channel *f, const char *what, uint64_t limit_ms,
                   struct error *err)
{
    return err_set_with(err, ERR_PEER,
                        limit_ms == f->stall_timeout_ms ? REMEDY_STALL_TIMEOUT : REMEDY_NONE,
                        "%s for %.1f s", what, (double)limit_ms / 1000);
}

/* Called after a tick in which nothing was sent, or no lent memory came back. */
static int check_sending(struct fd_channel *f, struct sending *s, struct error *err)
{
    uint64_t limit_ms = atomic_load(&f->base.stall_timeout_ms);
    int left = unacknowledged(f);

    /* On a slow path there may long be no room to send, while bytes still move: no silence. */
    if (left < s->left)
        s->since = clock_ns();
    s->left = left;
    if (limit_ms == 0)
        return 0;
    switch (path_judge(&f->way_out, f->base.fd, true, s->since, false, limit_ms * NS_PER_MS)) {
    case SILENCE_OF_PEER:
        return stalled(f, "the peer has read nothing", limit_ms, err);
    case SILENCE_OF_PATH:
        return stalled(f, "the peer's machine has acknowledged nothing", limit_ms, err);
    default:
        return 0;
    }
}

/* Called after a tick in which nothing came. */
static int check_receiving(struct fd_channel *f, uint64_t since, bool idle, struct error *err)
{
    uint64_t limit_ms = atomic_load(&f->base.stall_timeout_ms);
    enum silence silence = SILENCE_BORNE;

    if (limit_ms)
        silence = path_judge(&f->way_in, f->base.fd, false, since, idle, limit_ms * NS_PER_MS);
    atomic_store_explicit(&f->base.path_lost, f->way_in.lost, memory_order_relaxed);
    switch (silence) {
    case SILENCE_OF_PEER:
        return stalled(f, "the peer has sent nothing", limit_ms, err);
    case SILENCE_OF_PATH:
        return stalled(f, "nothing has come from the peer's machine", limit_ms, err);
    default:
        return 0;
    }
}

static int check_interrupted(struct fd_channel *f, struct error *err)
{
    if (atomic_load(&f->interrupted))
        return err_set(err, ERR_CANCELLED, "interrupted");
    return 0;
}

/* Nothing was sent, for the reason in errno. Returns 0 if the caller shall try again. */
static int send_failed(struct fd_channel *f, unsigned flags, struct sending *s, const char *what,
                       struct error *err)
{
    if (errno == EINTR)
        return 0;
    if (errno == EAGAIN && !(flags & CHANNEL_NOWAIT))
        return check_sending(f, s, err);
    return err_sys(err, "%s", what);
}

static bool lends_no_more(unsigned flags, int error)
{
    return flags & CHANNEL_BORROW && (error == ENOBUFS || error == ENOMEM);
}

/*
 * Too much memory is locked, or too many reports wait to be read. Both end when all lent memory has
 * come back. If that did not help, this packet alone is above the limit: it is copied.
 */
static int lend_less(struct fd_channel *f, unsigned *flags, bool *drained, struct error *err)
{
    if (f->zero_copy.lent > 0 && !*drained) {
        *drained = true;
        return fd_channel_drain(&f->base, err);
    }
    *flags &= ~CHANNEL_BORROW;
    f->zero_copy.copied++;
    return 0;
}

static void sent(struct fd_channel *f, ssize_t len)
{
    atomic_fetch_add_explicit(&f->base.bytes_sent, (uint64_t)len, memory_order_relaxed);
    if (f->base.borrows)
        atomic_store_explicit(&f->base.copied_sends, f->zero_copy.copied, memory_order_relaxed);
}

int fd_channel_sendv(struct channel *c, struct iovec *iov, size_t n, unsigned flags,
                     struct error *err)
{
    struct fd_channel *f = fd_channel_of(c);
    struct sending s = {.since = clock_ns()};
    bool drained = false;

    if (!c->borrows || flags & CHANNEL_NOWAIT)
        flags &= ~CHANNEL_BORROW;
    n = iov_advance(&iov, n, 0);
    while (n > 0) {
        ssize_t len = fd_took(f->moves->send(f, iov, n, flags));

        if (len >= 0) {
            sent(f, len);
            n = iov_advance(&iov, n, (size_t)len);
        }
        if (n == 0) /* all is sent: success, even after an interrupt */
            break;
        if (check_interrupted(f, err) < 0)
            return -1;
        if (len >= 0) {
            s.since = clock_ns();
            continue;
        }
        if (lends_no_more(flags, errno)) {
            if (lend_less(f, &flags, &drained, err) < 0)
                return -1;
            s.since = clock_ns();
            continue;
        }
        if (send_failed(f, flags, &s, "send", err) < 0)
            return -1;
    }
    return 0;
}

int fd_channel_send_file(struct channel *c, int fd, uint64_t offset, size_t len, struct error *err)
{
    struct fd_channel *f = fd_channel_of(c);
    struct sending s = {.since = clock_ns()};
    off_t at = (off_t)offset;

    while (len > 0) {
        ssize_t n = sendfile(c->fd, fd, &at, len);

        if (check_interrupted(f, err) < 0)
            return -1;
        if (n == 0)
            return err_set(err, ERR_PEER, "the source file ends %zu bytes early: it was cut", len);
        if (n < 0) {
            if (send_failed(f, 0, &s, "send from the file", err) < 0)
                return -1;
            continue;
        }
        sent(f, n);
        len -= (size_t)n;
        s.since = clock_ns();
    }
    return 0;
}

int fd_channel_drain(struct channel *c, struct error *err)
{
    struct fd_channel *f = fd_channel_of(c);
    struct sending s = {.since = clock_ns(), .left = unacknowledged(f)};

    while (f->zero_copy.lent > 0) {
        int n = f->moves->await_returned(f);

        if (check_interrupted(f, err) < 0)
            return -1;
        if (n >= 0)
            s.since = clock_ns();
        else if (send_failed(f, 0, &s, "wait for memory that is being sent", err) < 0)
            return -1;
    }
    atomic_store_explicit(&c->copied_sends, f->zero_copy.copied, memory_order_relaxed);
    return 0;
}

/* Nothing came, for the reason in errno. Returns 0 if the caller shall try again. */
static int receive_failed(struct fd_channel *f, unsigned flags, bool idle, uint64_t *since,
                          struct error *err)
{
    if (errno == EINTR)
        return 0;
    if (errno != EAGAIN || flags & CHANNEL_NOWAIT)
        return err_sys(err, "receive");
    if (*since == 0)
        *since = clock_ns() - f->tick_ms * NS_PER_MS;
    return check_receiving(f, *since, idle || atomic_load(&f->base.may_rest), err);
}

/*
 * Waits here, for bytes or the recall, so that the engine only receives bytes that have come.
 * ECANCELED: the recall was requested, and all bytes that had come before are received.
 */
static ssize_t receive_unless_recalled(struct fd_channel *f, struct iovec *iov, size_t n,
                                       size_t min, unsigned flags)
{
    struct pollfd p[] = {{.fd = f->base.fd, .events = POLLIN},
                         {.fd = f->base.recall->fd, .events = POLLIN}};
    bool recalled = cancel_requested(f->base.recall); /* read before poll() looks for bytes */
    int ready = poll(p, recalled ? 1 : ARRAY_LEN(p), recalled ? 0 : (int)f->tick_ms);

    if (ready < 0)
        return -1;
    if (p[0].revents)
        return f->moves->receive(f, iov, n, min, flags);
    errno = recalled ? ECANCELED : ready > 0 ? EINTR : EAGAIN;
    return -1;
}

int fd_channel_recvv(struct channel *c, struct iovec *iov, size_t n, size_t min, unsigned flags,
                     size_t *ret_len, struct error *err)
{
    struct fd_channel *f = fd_channel_of(c);
    uint64_t since = 0; /* set at the first empty tick: the fast path does not read the clock */
    size_t done = 0;

    n = iov_advance(&iov, n, 0);
    while (done < min && n > 0) {
        bool idle = done == 0 && flags & CHANNEL_MAY_IDLE;
        bool recallable = idle && flags & CHANNEL_RECALL && c->recall;
        ssize_t len = recallable ? receive_unless_recalled(f, iov, n, min - done, flags)
                                 : f->moves->receive(f, iov, n, min - done, flags);

        /* Bytes that came before the interrupt are still returned: they may be a verdict. */
        if (len <= 0 && check_interrupted(f, err) < 0)
            return -1;
        if (len == 0 && idle)
            break;
        if (len == 0)
            return err_set(err, ERR_PEER, "the peer closed the connection, %zu more bytes expected",
                           min - done);
        if (len < 0) {
            if (receive_failed(f, flags, idle, &since, err) < 0)
                return -1;
            continue;
        }
        if (!(flags & CHANNEL_PEEK))
            atomic_fetch_add_explicit(&c->bytes_received, (uint64_t)len, memory_order_relaxed);
        done += (size_t)len;
        n = iov_advance(&iov, n, (size_t)len);
        if (since > 0)
            atomic_store_explicit(&c->path_lost, false, memory_order_relaxed);
        since = 0;
    }
    *ret_len = done;
    return 0;
}

void fd_channel_interrupt(struct channel *c)
{
    struct fd_channel *f = fd_channel_of(c);

    atomic_store(&f->interrupted, true);
    shutdown(c->fd, SHUT_RDWR);
}

int fd_channel_init(struct fd_channel *f, int fd, const struct channel_ops *ops,
                    const struct fd_channel_moves *moves, const struct engine_config *config,
                    struct error *err)
{
    uint64_t stall_ms = config->stall_timeout_ms;

    f->stall_timeout_ms = stall_ms;
    f->tick_ms = stall_ms && stall_ms < TICK_MS ? (unsigned)stall_ms : TICK_MS;
    struct timeval tick = {.tv_usec = f->tick_ms * 1000};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof(tick)) < 0)
        return err_sys(err, "SO_RCVTIMEO");
    if (config->zero_copy && zero_copy_enable(fd, err) < 0)
        return -1;
    f->moves = moves;
    f->base.ops = ops;
    f->base.fd = fd;
    f->base.local = transport_is_local(fd);
    f->base.borrows = config->zero_copy;
    atomic_init(&f->base.stall_timeout_ms, stall_ms);
    return 0;
}

void fd_channel_done(struct fd_channel *f)
{
    fd_close(&f->base.fd);
}
