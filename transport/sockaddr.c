#include "transport/sockaddr.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"

#define RETRY_MS 10

bool sockaddr_is_local(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_UNIX)
        return true;
    if (sa->sa_family == AF_INET) {
        uint32_t ip = ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr);
        return ip >> 24 == IN_LOOPBACKNET;
    }
    if (sa->sa_family == AF_INET6) {
        const struct in6_addr *ip = &((const struct sockaddr_in6 *)sa)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(ip) || (IN6_IS_ADDR_V4MAPPED(ip) && ip->s6_addr[12] == 127);
    }
    return false;
}

/* On an IPv6 socket that also takes IPv4, IPv4 peers look like ::ffff:10.0.0.7. */
static bool unmap(const struct sockaddr *sa, struct sockaddr_in *ret)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)sa;

    if (sa->sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        return false;
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = six->sin6_port};
    memcpy(&ret->sin_addr, &six->sin6_addr.s6_addr[12], sizeof(ret->sin_addr));
    return true;
}

bool sockaddr_host_port(const struct sockaddr *sa, socklen_t len,
                        char host[static SOCKADDR_HOST_LEN], char port[static SOCKADDR_PORT_LEN])
{
    struct sockaddr_in four;

    if (unmap(sa, &four)) {
        sa = (const struct sockaddr *)&four;
        len = sizeof(four);
    }
    return (sa->sa_family == AF_INET || sa->sa_family == AF_INET6) &&
           getnameinfo(sa, len, host, SOCKADDR_HOST_LEN, port, SOCKADDR_PORT_LEN,
                       NI_NUMERICHOST | NI_NUMERICSERV) == 0;
}

void sockaddr_text(const struct sockaddr *sa, socklen_t len, char ret[static SOCKADDR_TEXT_LEN])
{
    char host[SOCKADDR_HOST_LEN], port[SOCKADDR_PORT_LEN];

    if (sockaddr_host_port(sa, len, host, port))
        snprintf(ret, SOCKADDR_TEXT_LEN, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    else
        strcpy(ret, "?");
}

static bool lacks_zone(const struct sockaddr *sa)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)sa;

    return sa->sa_family == AF_INET6 && six->sin6_scope_id == 0 &&
           IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr);
}

int sockaddr_failed(const char *what, const struct sockaddr *sa, socklen_t len, struct error *err)
{
    char text[SOCKADDR_TEXT_LEN];
    int sys = errno;

    sockaddr_text(sa, len, text);
    errno = sys;
    if (sys == EINVAL && lacks_zone(sa))
        return err_sys(err,
                       "%s %s: it is link-local and its zone is not known; give the number, as in "
                       "[fe80::1%%eth0]",
                       what, text);
    return err_sys(err, "%s %s", what, text);
}

/* Waits until the next attempt. Fails at the deadline or on a cancel. */
static int wait_a_little(const struct cancel *cancel, uint64_t deadline, struct error *err)
{
    uint64_t next = clock_ns() + RETRY_MS * NS_PER_MS;

    if (cancel_poll(cancel, -1, 0, MIN(next, deadline), err) < 0 && err->sys != ETIMEDOUT)
        return -1;
    return clock_ns() < deadline ? 0 : -1;
}

int sockaddr_connect(const struct sockaddr *sa, socklen_t len, const char *text, uint64_t deadline,
                     const struct cancel *cancel, int *ret_fd, struct error *err)
{
    AUTO_FD int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_sys(err, "connect to %s: socket", text);
    while (connect(fd, sa, len) < 0) {
        int failed = 0;
        socklen_t failed_len = sizeof(failed);

        if (errno == EAGAIN && sa->sa_family == AF_UNIX) {
            /* The listener's queue is full, and no event tells when it has room again. */
            if (wait_a_little(cancel, deadline, err) < 0)
                return err_in(err, "connect to %s", text);
            continue;
        }
        if (errno != EINPROGRESS)
            return err_sys(err, "connect to %s", text);
        if (cancel_poll(cancel, fd, POLLOUT, deadline, err) < 0)
            return err_in(err, "connect to %s", text);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &failed_len);
        if (failed) {
            errno = failed;
            return err_sys(err, "connect to %s", text);
        }
        break;
    }
    if (fcntl(fd, F_SETFL, 0) < 0)
        return err_sys(err, "connect to %s: fcntl", text);
    *ret_fd = fd_take(&fd);
    return 0;
}
