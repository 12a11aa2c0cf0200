#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "transport/scheme.h"

static struct sockaddr_un sockaddr_of(const struct address *a)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    memcpy(sa.sun_path, a->path, sizeof(sa.sun_path));
    return sa;
}

static int unix_dial(const struct address *to, const struct transport_config *config, int *ret_fd,
                     struct error *err)
{
    struct sockaddr_un sa = sockaddr_of(to);

    return socket_connect((struct sockaddr *)&sa, sizeof(sa), to->text,
                          deadline_in_ms(config->connect_timeout_ms), config->cancel, ret_fd, err);
}

/* A socket that nobody listens on is what a killed process left: it may go. */
static void remove_stale(const struct sockaddr_un *sa)
{
    struct stat st;
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || lstat(sa->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 && errno == ECONNREFUSED)
        unlink(sa->sun_path);
}

static int unix_listen(const struct address *at, const struct transport_config *config,
                       struct listener *l, struct error *err)
{
    struct sockaddr_un sa = sockaddr_of(at);
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)config;
    if (fd < 0)
        return err_sys(err, "listen on %s: socket", at->text);
    remove_stale(&sa);
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return err_sys(err, "listen on %s", at->text);
    strcpy(l->unlink, at->path);
    if (listen(fd, TRANSPORT_BACKLOG) < 0)
        return err_sys(err, "listen on %s", at->text);
    l->fds[l->n++] = fd_take(&fd);
    return 0;
}

const struct scheme_ops scheme_unix = {.many = true, .dial = unix_dial, .listen = unix_listen};
