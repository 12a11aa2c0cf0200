#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "transport/scheme.h"
#include "transport/sockaddr.h"

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

    return sockaddr_connect((struct sockaddr *)&sa, sizeof(sa), to->text,
                            deadline_in_ms(config->connect_timeout_ms), config->cancel, ret_fd,
                            err);
}

/*
 * A datagram cannot be sent to what listens for connections. The kernel says so (EPROTOTYPE) if a
 * process has the path, and the process notices nothing.
 */
static int unix_is_there(const struct address *to, const struct transport_config *config,
                         struct error *err)
{
    struct sockaddr_un sa = sockaddr_of(to);
    AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)config;
    if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 || errno == EPROTOTYPE)
        return 0;
    return err_sys(err, "connect to %s", to->text);
}

/* Removes a socket that no process listens on: a killed process has left it. */
static void remove_stale(const struct sockaddr_un *sa)
{
    struct stat st;
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || lstat(sa->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 && errno == ECONNREFUSED)
        unlink(sa->sun_path);
}

#define OURS_ALONE (S_IRUSR | S_IWUSR)

/*
 * A program that can connect to our socket can do what we can, so only our user may, whatever the
 * umask. bind() gives the path the descriptor's mode without the umask's bits. So the mode is set
 * before, and the path is never open to others. A strict umask may remove too much: that is
 * corrected after.
 */
static int bind_private(int fd, const struct sockaddr_un *sa)
{
    struct stat st;

    (void)!fchmod(fd, OURS_ALONE); /* if sockets have no mode, the path's mode is set below */
    if (bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
        return -1;
    if (lstat(sa->sun_path, &st) == 0 && (st.st_mode & ALLPERMS) == OURS_ALONE)
        return 0;
    if (fchmodat(AT_FDCWD, sa->sun_path, OURS_ALONE, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    int sys = errno;
    unlink(sa->sun_path);
    errno = sys;
    return -1;
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
    if (bind_private(fd, &sa) < 0)
        return err_sys(err, "listen on %s", at->text);
    strcpy(l->unlink, at->path);
    if (listen(fd, LISTENER_BACKLOG) < 0)
        return err_sys(err, "listen on %s", at->text);
    l->fds[l->n++] = fd_take(&fd);
    return 0;
}

const struct scheme_ops scheme_unix = {
    .many = true,
    .dial = unix_dial,
    .listen = unix_listen,
    .probe = unix_is_there,
};
