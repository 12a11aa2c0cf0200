/*
 * io_uring: a packet is one submission. With --zero-copy a send is the header, and linked after it
 * the pages, which are not copied (SENDMSG_ZC, or SEND_ZC for registered memory). A receive is a
 * packet's payload, and linked after it the part of the next header that has already come.
 *
 * Each direction has its own ring, because a channel's sender and its receiver are two threads.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "transport/fd_channel.h"
#include "transport/uring_memory.h"

#define HEAD_MAX 2048 /* bytes kept from CHANNEL_MORE sends, to be sent with the next send */

/* The most bytes of one plain send or one MSG_WAITALL: less than the kernel's limit for a call. */
#define LEN_MAX ((size_t)1 << 30)

extern const struct engine engine_socket;

struct uring_channel {
    struct fd_channel f;
    /* The receiver's. */
    struct uring in;
    size_t whole_max; /* the most bytes to receive with MSG_WAITALL */
    /* The sender's. */
    struct uring out;
    struct uring_memory *memory; /* registered with `out`, or NULL */
    uint8_t head[HEAD_MAX];
    size_t head_len;
};

static struct uring_channel *uring_of(struct fd_channel *f)
{
    return (struct uring_channel *)f;
}

/* --- sending --------------------------------------------------------------------------------- */

/* Turns an operation's result into that of a system call: -1 with errno. */
static ssize_t as_call(int result)
{
    if (result >= 0)
        return result;
    errno = result == -ECANCELED ? EAGAIN : -result;
    return -1;
}

/* Part of the header was sent; the rest stays for the next send. */
static void head_sent(struct uring_channel *u, size_t len)
{
    u->head_len -= len;
    memmove(u->head, u->head + len, u->head_len);
    atomic_fetch_add_explicit(&u->f.base.bytes_sent, len, memory_order_relaxed);
}

static void prepare_head(struct uring_channel *u, int how)
{
    struct io_uring_sqe *sqe = uring_op(&u->out);

    io_uring_prep_send(sqe, u->f.base.fd, u->head, u->head_len, how | MSG_MORE);
    sqe->flags |= IOSQE_IO_LINK;
}

/* Sends from registered memory if there is one piece and it lies in that memory. */
static void prepare_loan(struct uring_channel *u, struct msghdr *msg, int how)
{
    struct io_uring_sqe *sqe = uring_op_lending(&u->out);
    const struct iovec *piece = msg->msg_iov;
    int fd = u->f.base.fd, buffer = -1;

    if (u->memory && msg->msg_iovlen == 1)
        buffer = uring_memory_find(u->memory, piece->iov_base, piece->iov_len);
    if (buffer >= 0) {
        io_uring_prep_send_zc_fixed(sqe, fd, piece->iov_base, piece->iov_len, how, 0,
                                    (unsigned)buffer);
    } else {
        io_uring_prep_sendmsg_zc(sqe, fd, msg, (unsigned)how);
    }
    sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE;
}

static void prepare_copy(struct uring_channel *u, struct msghdr *msg, int how)
{
    struct io_uring_sqe *sqe = uring_op(&u->out);
    const struct iovec *piece = msg->msg_iov;

    if (msg->msg_iovlen == 1)
        io_uring_prep_send(sqe, u->f.base.fd, piece->iov_base, MIN(piece->iov_len, LEN_MAX), how);
    else
        io_uring_prep_sendmsg(sqe, u->f.base.fd, msg, (unsigned)how);
}

/* The result for the pages after a header. The kernel may refuse both for a fault of the second. */
static ssize_t linked_result(struct uring_channel *u)
{
    const int *results = u->out.results;

    if (u->head_len == 0 || results[0] == -ECANCELED)
        return as_call(results[1]);
    return as_call(results[0] > 0 ? -EINTR : results[0]); /* > 0: part of the header, no page */
}

static ssize_t uring_send(struct fd_channel *f, struct iovec *iov, size_t n, unsigned flags)
{
    struct uring_channel *u = uring_of(f);
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = MIN(n, (size_t)IOV_MAX)};
    bool with_head = u->head_len > 0;
    int how = MSG_NOSIGNAL | (flags & CHANNEL_NOWAIT ? MSG_DONTWAIT : 0);
    int more = flags & CHANNEL_MORE ? MSG_MORE : 0;

    if (flags & CHANNEL_BORROW && !uring_may_lend(&u->out)) {
        errno = ENOBUFS;
        return -1;
    }
    /* MSG_WAITALL: else, after a partial header, the kernel would go on with the linked pages. Only
     * with a header, because a socket that encrypts (kTLS) does not know the flag. */
    if (with_head) {
        how |= MSG_WAITALL;
        prepare_head(u, how);
    }
    if (flags & CHANNEL_BORROW)
        prepare_loan(u, &msg, how | more);
    else
        prepare_copy(u, &msg, how | more);
    uring_run(&u->out, f->tick_ms);
    if (!with_head)
        return as_call(u->out.results[0]);
    if (u->out.results[0] > 0)
        head_sent(u, (size_t)u->out.results[0]);
    return linked_result(u);
}

static int send_head(struct uring_channel *u, struct error *err)
{
    uint8_t head[HEAD_MAX];
    struct iovec iov = {head, u->head_len};

    memcpy(head, u->head, u->head_len);
    u->head_len = 0;
    return fd_channel_sendv(&u->f.base, &iov, 1, 0, err);
}

/* With CHANNEL_MORE, short data is kept, and submitted together with the next send. */
static bool keep_head(struct uring_channel *u, const struct iovec *iov, size_t n, unsigned flags)
{
    if (flags != CHANNEL_MORE || u->head_len + iov_total(iov, n) > HEAD_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        memcpy(u->head + u->head_len, iov[i].iov_base, iov[i].iov_len);
        u->head_len += iov[i].iov_len;
    }
    return true;
}

static int uring_sendv(struct channel *c, struct iovec *iov, size_t n, unsigned flags,
                       struct error *err)
{
    struct uring_channel *u = uring_of(fd_channel_of(c));

    if (c->borrows && keep_head(u, iov, n, flags))
        return 0;
    return fd_channel_sendv(c, iov, n, flags, err);
}

static int uring_send_file(struct channel *c, int fd, uint64_t offset, size_t len,
                           struct error *err)
{
    if (send_head(uring_of(fd_channel_of(c)), err) < 0)
        return -1;
    return fd_channel_send_file(c, fd, offset, len, err);
}

static int uring_drain(struct channel *c, struct error *err)
{
    if (send_head(uring_of(fd_channel_of(c)), err) < 0)
        return -1;
    return fd_channel_drain(c, err);
}

static int uring_loan_returned(struct fd_channel *f)
{
    return uring_await_returned(&uring_of(f)->out, f->base.fd, (int)f->tick_ms);
}

/* Only for sends that borrow: a send that copies gains nothing from registration. */
static void uring_offer_memory(struct channel *c, const struct iovec *iov, size_t n)
{
    struct uring_channel *u = uring_of(fd_channel_of(c));

    if (c->borrows && !u->memory)
        u->memory = uring_memory_get(&u->out, iov, n);
}

/* --- receiving ------------------------------------------------------------------------------- */

/* The index of the piece with byte `at`, and the byte's offset in it; n if no piece has it. */
static size_t piece_of(const struct iovec *iov, size_t n, size_t at, size_t *ret_offset)
{
    size_t i = 0;

    while (i < n && at >= iov[i].iov_len)
        at -= iov[i++].iov_len;
    *ret_offset = at;
    return i;
}

static ssize_t receive_some(struct uring_channel *u, struct iovec *iov, size_t n, int how)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = MIN(n, (size_t)IOV_MAX)};

    io_uring_prep_recvmsg(uring_op(&u->in), u->f.base.fd, &msg, (unsigned)how);
    uring_run(&u->in, u->f.tick_ms);
    return as_call(u->in.results[0]);
}

/*
 * Receives the first `min` bytes completely; they end in piece `i` at `offset`, or, if `offset` is
 * 0, at the end of the piece before. Then, without waiting, as much of the rest of piece `i` as has
 * come.
 */
static ssize_t receive_whole(struct uring_channel *u, struct iovec *iov, size_t i, size_t offset)
{
    struct iovec rest = {(uint8_t *)iov[i].iov_base + offset, iov[i].iov_len - offset};
    struct iovec piece = iov[i];
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = i + (offset > 0)};
    struct io_uring_sqe *sqe = uring_op(&u->in);

    iov[i].iov_len = offset;
    io_uring_prep_recvmsg(sqe, u->f.base.fd, &msg, MSG_WAITALL);
    sqe->flags |= IOSQE_IO_LINK;
    io_uring_prep_recv(uring_op(&u->in), u->f.base.fd, rest.iov_base, rest.iov_len, MSG_DONTWAIT);
    uring_run(&u->in, u->f.tick_ms);
    iov[i] = piece;
    /* The rest was tried only if the first part was complete. If the rest failed or met the end of
     * the stream, the next receive meets it again. */
    return as_call(u->in.results[0] + MAX(u->in.results[1], 0));
}

static ssize_t uring_receive(struct fd_channel *f, struct iovec *iov, size_t n, size_t min,
                             unsigned flags)
{
    struct uring_channel *u = uring_of(f);
    size_t offset, i = piece_of(iov, n, min, &offset);

    if (flags & CHANNEL_NOWAIT)
        return receive_some(u, iov, n, MSG_DONTWAIT | (flags & CHANNEL_PEEK ? MSG_PEEK : 0));
    if (flags & CHANNEL_PEEK)
        return receive_some(u, iov, n, MSG_PEEK);
    if (min > u->whole_max)
        return receive_some(u, iov, n, 0);
    if (i == n || i >= IOV_MAX)
        return receive_some(u, iov, n, MSG_WAITALL);
    return receive_whole(u, iov, i, offset);
}

/* --- the channel ----------------------------------------------------------------------------- */

static const struct fd_channel_moves uring_moves = {
    .send = uring_send,
    .receive = uring_receive,
    .await_returned = uring_loan_returned,
};

/* No thread uses the rings any more: only sends of lent memory may still be under way. */
static void uring_free(struct channel *c)
{
    struct uring_channel *u = uring_of(fd_channel_of(c));

    uring_done(&u->in);
    uring_done(&u->out);
    uring_memory_put(u->memory);
    fd_channel_done(&u->f);
    free(u);
}

static const struct channel_ops uring_ops = {
    .name = "uring",
    .offer_memory = uring_offer_memory,
    .sendv = uring_sendv,
    .send_file = uring_send_file,
    .recvv = fd_channel_recvv,
    .drain = uring_drain,
    .interrupt = fd_channel_interrupt,
    .free = uring_free,
};

/* 0, or -errno with the reason in words. */
static int open_rings(struct uring_channel *u, bool zero_copy, const char **ret_why)
{
    int rc = uring_init(&u->out, &u->f.zero_copy);

    if (rc == 0)
        rc = uring_init(&u->in, NULL);
    *ret_why = "io_uring is not available";
    if (rc < 0 || !zero_copy || uring_can_lend())
        return rc;
    *ret_why = "io_uring cannot send without copying";
    return -EOPNOTSUPP;
}

static bool uring_usable(bool zero_copy, char *ret_why, size_t len)
{
    struct uring_channel *u = calloc(1, sizeof(*u));
    const char *why = "memory";
    int rc = u ? open_rings(u, zero_copy, &why) : -ENOMEM;

    if (rc < 0) {
        char reason[ERR_REASON_LEN];

        err_reason(rc, reason);
        snprintf(ret_why, len, "%s here (%s)", why, reason);
    }
    if (u) {
        u->f.base.fd = -1;
        uring_free(&u->f.base);
    }
    return rc == 0;
}

/* The most bytes for MSG_WAITALL: less than a vsock's buffer holds, or the vsock fails (ENOMEM). */
static size_t most_at_once(int fd)
{
    uint64_t buffer = 0;
    socklen_t len = sizeof(buffer);

    if (getsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &buffer, &len) < 0 || buffer == 0)
        return LEN_MAX;
    return MIN(buffer - 1, LEN_MAX);
}

static int uring_open(int fd, const struct engine_config *config, struct channel **ret,
                      struct error *err)
{
    struct uring_channel *u = calloc(1, sizeof(*u));
    const char *why;
    AUTO_FD int own = fd;

    if (!u)
        return err_sys(err, "memory for a channel");
    u->f.base.fd = -1;
    /* A limit may be reached at any channel: then this one uses the socket engine. */
    if (open_rings(u, config->zero_copy, &why) < 0) {
        uring_free(&u->f.base);
        return engine_socket.open(fd_take(&own), config, ret, err);
    }
    if (fd_channel_init(&u->f, own, &uring_ops, &uring_moves, config, err) < 0) {
        u->f.base.fd = -1;
        uring_free(&u->f.base);
        return -1;
    }
    u->whole_max = most_at_once(fd_take(&own));
    *ret = &u->f.base;
    return 0;
}

const struct engine engine_uring = {
    .name = "uring",
    .usable = uring_usable,
    .open = uring_open,
};
