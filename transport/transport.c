#include "transport/transport.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "transport/scheme.h"
#include "transport/sockaddr.h"

static const struct scheme_ops *const schemes[] = {
    [ADDRESS_TCP] = &scheme_tcp, [ADDRESS_UNIX] = &scheme_unix, [ADDRESS_VSOCK] = &scheme_vsock,
    [ADDRESS_FD] = &scheme_fd,   [ADDRESS_FILE] = &scheme_file,
};
_Static_assert(ARRAY_LEN(schemes) == ADDRESS_N, "a row for each scheme");
_Static_assert(TRANSPORT_PEER_LEN == SOCKADDR_TEXT_LEN, "a peer is shown by its address");

bool transport_is_local(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    return getpeername(fd, (struct sockaddr *)&sa, &len) == 0 &&
           sockaddr_is_local((struct sockaddr *)&sa);
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

int transport_probe(const struct address *to, const struct transport_config *config,
                    struct error *err)
{
    const struct scheme_ops *scheme = schemes[to->scheme];

    return scheme->probe ? scheme->probe(to, config, err) : 0;
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

/* Where a socket listens, as address.h writes it; nothing if that has no such form. */
static void listening_text(int fd, char *ret, size_t size)
{
    char where[SOCKADDR_TEXT_LEN];
    struct sockaddr_storage sa = {0};
    const struct sockaddr_un *un = (const struct sockaddr_un *)&sa;
    socklen_t len = sizeof(sa);

    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return;
    if (sa.ss_family == AF_INET || sa.ss_family == AF_INET6) {
        sockaddr_text((struct sockaddr *)&sa, len, where);
        snprintf(ret, size, "tcp:%s", where);
    } else if (sa.ss_family == AF_UNIX && un->sun_path[0]) {
        snprintf(ret, size, "unix:%.*s", (int)sizeof(un->sun_path), un->sun_path);
    }
}

static int add_socket(struct listener *l, int fd, const char *text, struct error *err)
{
    bool listening;

    if (socket_copy(fd, text, &listening, &l->fds[l->n], err) < 0)
        return -1;
    l->n++;
    return listening
               ? 0
               : err_set(err, ERR_USAGE,
                         "%s: expected a socket that listens, descriptor %d does not", text, fd);
}

int transport_listen_on(const int *fds, size_t n, const char *text, struct listener *ret,
                        struct error *err)
{
    struct listener l = {0};

    snprintf(l.text, sizeof(l.text), "%s", text);
    for (size_t i = 0; i < n; i++) {
        if (add_socket(&l, fds[i], text, err) < 0) {
            listener_done(&l);
            return -1;
        }
    }
    listening_text(l.fds[0], l.text, sizeof(l.text));
    *ret = l;
    return 0;
}

int listener_share(const struct listener *l, struct listener *ret, struct error *err)
{
    struct listener copy = {0};

    if (l->single)
        return err_set(err, ERR_USAGE, "%s: expected a socket that listens, it is connected",
                       l->text);
    strcpy(copy.text, l->text);
    for (; copy.n < l->n; copy.n++) {
        copy.fds[copy.n] = fcntl(l->fds[copy.n], F_DUPFD_CLOEXEC, 0);
        if (copy.fds[copy.n] < 0) {
            err_sys(err, "%s: another descriptor", l->text);
            listener_done(&copy);
            return -1;
        }
    }
    *ret = copy;
    return 0;
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

void transport_peer(int fd, char ret[static TRANSPORT_PEER_LEN])
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    ret[0] = 0;
    if (getpeername(fd, (struct sockaddr *)&sa, &len) == 0 &&
        (sa.ss_family == AF_INET || sa.ss_family == AF_INET6))
        sockaddr_text((struct sockaddr *)&sa, len, ret);
}

void transport_pin(struct address *a, int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    char host[SOCKADDR_HOST_LEN], port[SOCKADDR_PORT_LEN];

    if (a->scheme != ADDRESS_TCP || getpeername(fd, (struct sockaddr *)&sa, &len) < 0 ||
        !sockaddr_host_port((struct sockaddr *)&sa, len, host, port))
        return;
    strcpy(a->host, host);
    strcpy(a->port, port);
}
