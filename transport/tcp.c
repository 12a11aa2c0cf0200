#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "transport/connect_any.h"
#include "transport/path.h"
#include "transport/resolve.h"
#include "transport/scheme.h"
#include "transport/sockaddr.h"
#include "transport/tcp_probe.h"

/* Since Linux 6.15; older headers do not have it. */
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif

#define LAST_RESORT_MS (UINT64_C(120) * 1000)

/*
 * Loopback is never congested, and pacing there (BBR) costs timers and waits. Set before the
 * connect, because a connection that began with pacing keeps it. Every kernel has reno and lets
 * every user choose it; if it is refused nevertheless, the host's own choice stays.
 */
static void do_not_pace(int fd, const struct addrinfo *ai)
{
    if (sockaddr_is_local(ai->ai_addr))
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", sizeof("reno") - 1);
}

static int tcp_dial(const struct address *to, const struct transport_config *config, int *ret_fd,
                    struct error *err)
{
    uint64_t deadline = deadline_in_ms(config->connect_timeout_ms);
    struct addrinfo *list;

    if (resolve(to, 0, deadline, config->cancel, &list, err) < 0)
        return -1;
    int rc = connect_any(list, to->text, do_not_pace, deadline, config->cancel, ret_fd, err);
    freeaddrinfo(list);
    return rc;
}

static int tcp_is_there(const struct address *to, const struct transport_config *config,
                        struct error *err)
{
    uint64_t deadline = deadline_in_ms(config->connect_timeout_ms);
    struct addrinfo *list;

    if (resolve(to, 0, deadline, config->cancel, &list, err) < 0)
        return -1;
    int rc = tcp_probe(list, err);
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

/*
 * Binds [::] for both families, unless `six_only`. If another program has the port in use, it may
 * be for IPv4 only: then tries IPv6 alone, like QEMU.
 */
static int bind_to(int fd, const struct addrinfo *ai, bool six_only)
{
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){six_only}, sizeof(int));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0)
        return 0;
    if (ai->ai_family != AF_INET6 || six_only || errno != EADDRINUSE)
        return -1;
    return bind_to(fd, ai, true);
}

static int listen_on(const struct addrinfo *ai, bool six_only, int *ret_fd, struct error *err)
{
    AUTO_FD int fd =
        socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);

    if (fd < 0)
        return sockaddr_failed("socket for", ai->ai_addr, ai->ai_addrlen, err);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind_to(fd, ai, six_only) < 0 || listen(fd, LISTENER_BACKLOG) < 0)
        return sockaddr_failed("listen on", ai->ai_addr, ai->ai_addrlen, err);
    *ret_fd = fd_take(&fd);
    return 0;
}

static bool has_family(const struct addrinfo *list, int family)
{
    for (; list; list = list->ai_next) {
        if (list->ai_family == family)
            return true;
    }
    return false;
}

/*
 * Listens on every address of the name, all on the port that the first one got. IPv4 addresses in
 * the list get sockets of their own; [::] takes IPv4 too if the list has none.
 */
static int listen_on_all(struct addrinfo *list, struct listener *l, uint16_t *ret_port,
                         struct error *err)
{
    bool six_only = has_family(list, AF_INET);
    uint16_t port = 0;

    for (struct addrinfo *ai = list; ai && l->n < LISTENER_MAX; ai = ai->ai_next) {
        if (port)
            set_port(ai->ai_addr, port);
        if (listen_on(ai, six_only, &l->fds[l->n], err) < 0) {
            if (err->sys == EAFNOSUPPORT || err->sys == EADDRNOTAVAIL)
                continue; /* a family that this host lacks: fine if another address works */
            return -1;
        }
        port = bound_port(l->fds[l->n++]);
    }
    *ret_port = port;
    return l->n == 0 ? -1 : 0; /* *err is the last address's error */
}

static int tcp_listen(const struct address *at, const struct transport_config *config,
                      struct listener *l, struct error *err)
{
    uint64_t deadline = deadline_in_ms(config->connect_timeout_ms);
    struct addrinfo *list;
    uint16_t port;

    if (resolve(at, AI_PASSIVE, deadline, config->cancel, &list, err) < 0)
        return -1;
    int rc = listen_on_all(list, l, &port, err);
    freeaddrinfo(list);
    if (rc < 0)
        return -1;
    bool v6 = strchr(at->host, ':');
    snprintf(l->text, sizeof(l->text), "tcp:%s%s%s:%u", v6 ? "[" : "", at->host, v6 ? "]" : "",
             port);
    return 0;
}

/*
 * Sets how often the kernel asks the peer's machine for a sign of life while nothing moves. path.c
 * judges from the answers whether the silence is too long. The kernel's own timeout is only the
 * last resort, for a connection that no thread waits for: its clock starts at the first
 * retransmission of a series, which may be long before an outage.
 */
static int ask_often(int fd, uint64_t stall_ms, struct error *err)
{
    unsigned question_s = path_question_s(stall_ms), question_ms = question_s * 1000;
    unsigned last_ms = (unsigned)MIN(MAX(10 * stall_ms, LAST_RESORT_MS), (uint64_t)INT32_MAX);

    if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &question_s, sizeof(question_s)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &question_s, sizeof(question_s)) < 0)
        return err_sys(err, "TCP keepalive");
    if (setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &last_ms, sizeof(last_ms)) < 0)
        return err_sys(err, "TCP_USER_TIMEOUT");
    /* An older kernel does not know this option: there each pause is twice as long as the last. */
    setsockopt(fd, IPPROTO_TCP, TCP_RTO_MAX_MS, &question_ms, sizeof(question_ms));
    return 0;
}

static int tcp_tune(int fd, const struct transport_config *config, struct error *err)
{
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0)
        return err_sys(err, "TCP_NODELAY");
    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int)) < 0)
        return err_sys(err, "SO_KEEPALIVE");
    return config->stall_timeout_ms ? ask_often(fd, config->stall_timeout_ms, err) : 0;
}

const struct scheme_ops scheme_tcp = {
    .many = true,
    .dial = tcp_dial,
    .probe = tcp_is_there,
    .listen = tcp_listen,
    .tune = tcp_tune,
};
