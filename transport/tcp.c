#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "transport/scheme.h"

/* Enough for a number, brackets and a port. */
#define NUMERIC_LEN (INET6_ADDRSTRLEN + 16)

static void numeric(const struct sockaddr *sa, socklen_t len, char *ret)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (getnameinfo(sa, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(ret, NUMERIC_LEN, "?");
    else
        snprintf(ret, NUMERIC_LEN, sa->sa_family == AF_INET6 ? "[%.45s]:%.8s" : "%.45s:%.8s", host,
                 port);
}

static int resolve(const struct address *a, int flags, struct addrinfo **ret, struct error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    int rc = getaddrinfo(a->host[0] ? a->host : NULL, a->port, &hints, ret);

    if (rc == EAI_SYSTEM)
        return err_sys(err, "look up %s", a->text);
    if (rc != 0)
        return err_set(err, ERR_SYSTEM, "look up %s: %s", a->text, gai_strerror(rc));
    return 0;
}

/*
 * A host is no congested path to itself, and pacing it (BBR) costs timers and waits. Before the
 * connect: a connection that began with pacing keeps it. Advice: reno is in every kernel and open
 * to everyone; where it is refused, the host's own choice stays.
 */
static void do_not_pace(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", sizeof("reno") - 1);
}

static int tcp_dial(const struct address *to, const struct transport_config *config, int *ret_fd,
                    struct error *err)
{
    uint64_t deadline = deadline_in_ms(config->connect_timeout_ms);
    struct addrinfo *list;
    int rc = -1;

    if (resolve(to, 0, &list, err) < 0)
        return -1;
    for (struct addrinfo *ai = list; ai && rc < 0; ai = ai->ai_next) {
        char text[NUMERIC_LEN];

        numeric(ai->ai_addr, ai->ai_addrlen, text);
        rc = socket_connect(ai->ai_addr, ai->ai_addrlen,
                            sockaddr_is_local(ai->ai_addr) ? do_not_pace : NULL, text, deadline,
                            config->cancel, ret_fd, err);
        if (rc < 0 && (err->kind == ERR_CANCELLED || clock_ns() >= deadline))
            break; /* another address would not get more time */
    }
    freeaddrinfo(list);
    return rc;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return 0;
    return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
                                          : ((struct sockaddr_in *)&sa)->sin_port);
}

static void set_port(struct sockaddr *sa, uint16_t port)
{
    if (sa->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)sa)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)sa)->sin_port = htons(port);
}

static int listen_on(const struct addrinfo *ai, int *ret_fd, struct error *err)
{
    AUTO_FD int fd =
        socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);
    char text[NUMERIC_LEN];

    numeric(ai->ai_addr, ai->ai_addrlen, text);
    if (fd < 0)
        return err_sys(err, "listen on %s: socket", text);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (ai->ai_family == AF_INET6) /* the name's IPv4 addresses are rows of their own */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, TRANSPORT_BACKLOG) < 0)
        return err_sys(err, "listen on %s", text);
    *ret_fd = fd_take(&fd);
    return 0;
}

/* Every address of the name, all on the port that the first one got. */
static int tcp_listen(const struct address *at, struct listener *l, struct error *err)
{
    struct addrinfo *list;
    uint16_t port = 0;

    if (resolve(at, AI_PASSIVE, &list, err) < 0)
        return -1;
    for (struct addrinfo *ai = list; ai && l->n < LISTENER_MAX; ai = ai->ai_next) {
        if (port)
            set_port(ai->ai_addr, port);
        if (listen_on(ai, &l->fds[l->n], err) < 0) {
            if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)
                continue; /* a family this host does not speak: fine if another one does */
            freeaddrinfo(list);
            return -1;
        }
        port = bound_port(l->fds[l->n++]);
    }
    freeaddrinfo(list);
    if (l->n == 0)
        return -1; /* the last address's error stands */
    bool v6 = strchr(at->host, ':');
    snprintf(l->text, sizeof(l->text), "tcp:%s%s%s:%u", v6 ? "[" : "", at->host, v6 ? "]" : "",
             port);
    return 0;
}

static int tcp_tune(int fd, const struct transport_config *config, struct error *err)
{
    unsigned stall_ms = (unsigned)MIN(config->stall_timeout_ms, (uint64_t)INT32_MAX);
    unsigned idle_s = MAX(stall_ms / 1000 / 2, 1U), interval_s = MAX(stall_ms / 1000 / 10, 1U);

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0)
        return err_sys(err, "TCP_NODELAY");
    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int)) < 0)
        return err_sys(err, "SO_KEEPALIVE");
    if (stall_ms == 0)
        return 0;
    /* A silent peer is asked half-way, and given up when the whole time has passed. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){5}, sizeof(int)) < 0)
        return err_sys(err, "TCP keepalive");
    if (setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stall_ms, sizeof(stall_ms)) < 0)
        return err_sys(err, "TCP_USER_TIMEOUT");
    return 0;
}

const struct scheme_ops scheme_tcp = {
    .many = true,
    .dial = tcp_dial,
    .listen = tcp_listen,
    .tune = tcp_tune,
};
