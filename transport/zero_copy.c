#include "transport/zero_copy.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/errqueue.h> /* wants time.h before it */

/* Older headers lack these. */
#ifndef SOL_VSOCK
#define SOL_VSOCK 287
#endif
#define VSOCK_RECVERR_ 1

int zero_copy_enable(int fd, struct error *err)
{
    char reason[ERR_REASON_LEN];

    if (setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &(int){1}, sizeof(int)) == 0)
        return 0;
    err_reason(errno, reason);
    return err_set_with(err, ERR_USAGE, REMEDY_COPY_OR_TCP,
                        "this kind of connection cannot send without copying (SO_ZEROCOPY: %s)",
                        reason);
}

int zero_copy_check_reports(int fd, struct error *err)
{
    int domain = 0;
    socklen_t len = sizeof(domain);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_VSOCK)
        return 0;
    return err_set_with(err, ERR_USAGE, REMEDY_COPY_OR_URING,
                        "over vsock the kernel reports one send without copying as several, and "
                        "none of them as the last");
}

int zero_copy_returned(struct zero_copy *z, uint32_t first, uint32_t last, bool copied)
{
    uint32_t n = last - first + 1; /* also right if the numbers wrap */

    if (n == 0 || n > z->lent) {
        errno = EPROTO;
        return -1;
    }
    z->lent -= n;
    if (copied)
        z->copied += n;
    return (int)n;
}

/* The report inside one message of the error queue, or NULL. */
static const struct sock_extended_err *report_of(struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        const struct sock_extended_err *e = (const void *)CMSG_DATA(c);
        bool is_error = (c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
                        (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR) ||
                        (c->cmsg_level == SOL_VSOCK && c->cmsg_type == VSOCK_RECVERR_);

        if (is_error && e->ee_origin == SO_EE_ORIGIN_ZEROCOPY)
            return e;
    }
    return NULL;
}

/* Reads one message of the error queue: 0 if it is not a report. */
static int collect_one(struct zero_copy *z, int fd)
{
    /* Room for the report, and for the address that some kinds of socket add after it. */
    alignas(struct cmsghdr) char control[256];
    struct msghdr msg = {.msg_control = control, .msg_controllen = sizeof(control)};

    if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return -1;
    const struct sock_extended_err *e = report_of(&msg);
    if (!e)
        return 0;
    return zero_copy_returned(z, e->ee_info, e->ee_data, e->ee_code & SO_EE_CODE_ZEROCOPY_COPIED);
}

int zero_copy_collect(struct zero_copy *z, int fd)
{
    int total = 0;

    while (z->lent > 0) {
        int n = collect_one(z, fd);

        if (n < 0 && errno == EAGAIN && total > 0)
            break;
        if (n < 0)
            return -1;
        total += n;
    }
    return total;
}

int zero_copy_why_gone(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);

    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error ? error : EPIPE;
}

int zero_copy_await(struct zero_copy *z, int fd, int timeout_ms)
{
    /* No events are requested: POLLERR and POLLHUP come anyway. */
    struct pollfd p = {.fd = fd};
    int rc = poll(&p, 1, timeout_ms);

    if (rc < 0)
        return -1;
    int n = zero_copy_collect(z, fd);
    /* A dead connection without a report makes poll() return at once: EAGAIN would let us spin. */
    if (n < 0 && errno == EAGAIN && p.revents)
        errno = zero_copy_why_gone(fd);
    return n;
}
