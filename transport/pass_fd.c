#include "transport/pass_fd.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

union one_fd {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

union many_fds {
    char room[CMSG_SPACE(PASS_FDS_MAX * sizeof(int))];
    struct cmsghdr align;
};

/* --- out ------------------------------------------------------------------------------------- */

static void attach(struct msghdr *message, union one_fd *control, int fd)
{
    *control = (union one_fd){0};
    message->msg_control = control;
    message->msg_controllen = sizeof(control->room);
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
}

int pass_fd_send(int socket, const void *bytes, size_t len, int fd, uint64_t deadline,
                 const struct cancel *cancel, struct error *err)
{
    size_t sent = 0;

    while (sent < len) {
        struct iovec iov = {UNQUALIFIED((const char *)bytes + sent), len - sent};
        struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
        union one_fd control;

        if (fd >= 0 && sent == 0)
            attach(&message, &control, fd);
        if (cancel_poll(cancel, socket, POLLOUT, deadline, err) < 0)
            return -1;
        ssize_t n = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return err_sys(err, "send");
        sent += (size_t)n;
    }
    return 0;
}

/* --- in -------------------------------------------------------------------------------------- */

/* Stores or closes every descriptor that has come, so that none stays open without an owner. */
static int adopt(const struct cmsghdr *c, struct passed_fds *fds)
{
    size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
        if (fds->n < PASS_FDS_MAX) {
            fds->fds[fds->n++] = fd;
        } else {
            fd_close(&fd);
            rc = -1;
        }
    }
    return rc;
}

static int adopt_all(struct msghdr *message, struct passed_fds *fds, struct error *err)
{
    int rc = message->msg_flags & MSG_CTRUNC ? -1 : 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && adopt(c, fds) < 0)
            rc = -1;
    }
    if (rc < 0)
        return err_set(err, ERR_PEER, "more than %d descriptors, or more than may be open here",
                       PASS_FDS_MAX);
    return 0;
}

int pass_fd_receive(int socket, void *bytes, size_t room, uint64_t deadline,
                    const struct cancel *cancel, struct passed_fds *fds, size_t *ret_len,
                    struct error *err)
{
    for (;;) {
        union many_fds control;
        struct iovec iov = {bytes, room};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control.room)};

        if (cancel_poll(cancel, socket, POLLIN, deadline, err) < 0)
            return -1;
        ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return err_sys(err, "receive");
        if (adopt_all(&message, fds, err) < 0)
            return -1;
        *ret_len = (size_t)n;
        return 0;
    }
}

void passed_fds_close(struct passed_fds *fds)
{
    for (size_t i = 0; i < fds->n; i++)
        fd_close(&fds->fds[i]);
    fds->n = 0;
}
