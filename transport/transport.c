#include "transport/transport.h"

#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "transport/scheme.h"

#define RETRY_MS 10
#define HOST_LEN (INET6_ADDRSTRLEN + IF_NAMESIZE + 1)
#define PORT_LEN 8

static const struct scheme_ops *const schemes[] = {
    [ADDRESS_TCP] = &scheme_tcp, [ADDRESS_UNIX] = &scheme_unix, [ADDRESS_VSOCK] = &scheme_vsock,
    [ADDRESS_FD] = &scheme_fd,   [ADDRESS_FILE] = &scheme_file,
};
_Static_assert(ARRAY_LEN(schemes) == ADDRESS_N, "a row for each scheme");

/* Waits until the next attempt. Fails at the deadline or on a cancel. */
static int wait_a_little(const struct cancel *cancel, uint64_t deadline, struct error *err)
{
    uint64_t next = clock_ns() + RETRY_MS * NS_PER_MS;

    if (cancel_poll(cancel, -1, 0, MIN(next, deadline), err) < 0 && err->sys != ETIMEDOUT)
        return -1;
    return clock_ns() < deadline ? 0 : -1;
}

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

bool transport_is_local(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    return getpeername(fd, (struct sockaddr *)&sa, &len) == 0 &&
           sockaddr_is_local((struct sockaddr *)&sa);
}

int socket_connect(const struct sockaddr *sa, unsigned sa_len, const char *text, uint64_t deadline,
                   const struct cancel *cancel, int *ret_fd, struct error *err)
{
    AUTO_FD int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_sys(err, "connect to %s: socket", text);
    while (connect(fd, sa, sa_len) < 0) {
        int failed = 0;
        socklen_t len = sizeof(failed);

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
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len);
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

static const struct scheme_ops *scheme_of_socket(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return &scheme_fd;
    return sa.ss_family == AF_INET || sa.ss_family == AF_INET6 ? &scheme_tcp : &scheme_fd;
}

static int tune(const struct scheme_ops *scheme, int fd, const struct transport_config *config,
                struct error *err)
{
    return scheme->tune ? scheme->tune(fd, config, err) : 0;
}

int transport_dial(const struct address *to, const struct transport_config *config, int *ret_fd,
                   struct error *err)
{
    AUTO_FD int fd = -1;

    if (schemes[to->scheme]->dial(to, config, &fd, err) < 0)
        return -1;
    if (tune(scheme_of_socket(fd), fd, config, err) < 0)
        return -1;
    *ret_fd = fd_take(&fd);
    return 0;
}

bool transport_many(const struct address *to)
{
    return schemes[to->scheme]->many;
}

int transport_listen(const struct address *at, const struct transport_config *config,
                     struct listener *ret, struct error *err)
{
    struct listener l = {0};

    strcpy(l.text, at->text);
    if (schemes[at->scheme]->listen(at, config, &l, err) < 0) {
        listener_done(&l);
        return -1;
    }
    *ret = l;
    return 0;
}

void listener_done(struct listener *l)
{
    for (size_t i = 0; i < l->n; i++)
        fd_close(&l->fds[i]);
    l->n = 0;
    if (l->unlink[0])
        unlink(l->unlink);
    l->unlink[0] = 0;
}

/* Whether accept(2) failed for this one connection only, or there was none. */
static bool accept_may_go_on(int error)
{
    static const int passing[] = {
        EAGAIN,    EINTR,  ECONNABORTED, EPROTO,     ENETDOWN,    ENOPROTOOPT,
        EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH,
    };

    for (size_t i = 0; i < ARRAY_LEN(passing); i++) {
        if (error == passing[i])
            return true;
    }
    return false;
}

int listener_accept(struct listener *l, const struct transport_config *config, int *ret_fd,
                    struct error *err)
{
    if (l->single) {
        *ret_fd = fd_take(&l->fds[0]);
        return *ret_fd < 0 ? 0 : tune(scheme_of_socket(*ret_fd), *ret_fd, config, err);
    }
    for (size_t i = 0; i < l->n; i++) {
        AUTO_FD int fd = accept4(l->fds[i], NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0 && accept_may_go_on(errno))
            continue;
        if (fd < 0)
            return err_sys(err, "accept on %s", l->text);
        if (tune(scheme_of_socket(fd), fd, config, err) < 0)
            continue; /* the peer has already closed it */
        *ret_fd = fd_take(&fd);
        return 0;
    }
    *ret_fd = -1;
    return 0;
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

/* False if it is not an IP address. */
static bool host_and_port(const struct sockaddr *sa, socklen_t len, char host[static HOST_LEN],
                          char port[static PORT_LEN])
{
    struct sockaddr_in four;

    if (unmap(sa, &four)) {
        sa = (const struct sockaddr *)&four;
        len = sizeof(four);
    }
    return (sa->sa_family == AF_INET || sa->sa_family == AF_INET6) &&
           getnameinfo(sa, len, host, HOST_LEN, port, PORT_LEN, NI_NUMERICHOST | NI_NUMERICSERV) ==
               0;
}

void numeric_address(const struct sockaddr *sa, unsigned len, char ret[static TRANSPORT_PEER_LEN])
{
    char host[HOST_LEN], port[PORT_LEN];

    if (host_and_port(sa, len, host, port))
        snprintf(ret, TRANSPORT_PEER_LEN, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    else
        strcpy(ret, "?");
}

static bool lacks_zone(const struct sockaddr *sa)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)sa;

    return sa->sa_family == AF_INET6 && six->sin6_scope_id == 0 &&
           IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr);
}

int address_failed(const char *what, const struct sockaddr *sa, unsigned len, struct error *err)
{
    char text[TRANSPORT_PEER_LEN];
    int sys = errno;

    numeric_address(sa, len, text);
    errno = sys;
    if (sys == EINVAL && lacks_zone(sa))
        return err_sys(err,
                       "%s %s: it is link-local and its zone is not known; give the number, as in "
                       "[fe80::1%%eth0]",
                       what, text);
    return err_sys(err, "%s %s", what, text);
}

void transport_peer(int fd, char ret[static TRANSPORT_PEER_LEN])
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    ret[0] = 0;
    if (getpeername(fd, (struct sockaddr *)&sa, &len) == 0 &&
        (sa.ss_family == AF_INET || sa.ss_family == AF_INET6))
        numeric_address((struct sockaddr *)&sa, len, ret);
}

void transport_pin(struct address *a, int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    char host[HOST_LEN], port[PORT_LEN];

    if (a->scheme != ADDRESS_TCP || getpeername(fd, (struct sockaddr *)&sa, &len) < 0 ||
        !host_and_port((struct sockaddr *)&sa, len, host, port))
        return;
    strcpy(a->host, host);
    strcpy(a->port, port);
}
