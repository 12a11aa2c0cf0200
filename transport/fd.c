#include <fcntl.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "transport/scheme.h"

int socket_copy(int fd, const char *text, bool *ret_listening, int *ret_fd, struct error *err)
{
    int type = 0, listening = 0;
    socklen_t len = sizeof(type), listening_len = sizeof(listening);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
        return err_sys(err, "%s", text);
    if (type != SOCK_STREAM)
        return err_set(err, ERR_USAGE, "%s: expected a stream socket", text);
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_len);
    AUTO_FD int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return err_sys(err, "%s", text);
    /* Connections must block and listeners must not, whatever mode they had before. */
    if (fcntl(copy, F_SETFL, listening ? O_NONBLOCK : 0) < 0)
        return err_sys(err, "%s: fcntl", text);
    *ret_listening = listening;
    *ret_fd = fd_take(&copy);
    return 0;
}

static int fd_dial(const struct address *to, const struct transport_config *config, int *ret_fd,
                   struct error *err)
{
    bool listening;
    AUTO_FD int fd = -1;

    (void)config;
    if (socket_copy(to->fd, to->text, &listening, &fd, err) < 0)
        return -1;
    if (listening)
        return err_set(err, ERR_USAGE, "%s: expected a connected socket, it listens", to->text);
    *ret_fd = fd_take(&fd);
    return 0;
}

static int fd_listen(const struct address *at, const struct transport_config *config,
                     struct listener *l, struct error *err)
{
    bool listening;

    (void)config;
    if (socket_copy(at->fd, at->text, &listening, &l->fds[0], err) < 0)
        return -1;
    l->n = 1;
    l->single = !listening;
    return 0;
}

const struct scheme_ops scheme_fd = {.many = false, .dial = fd_dial, .listen = fd_listen};
