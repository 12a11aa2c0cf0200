#include "migration/pre_switchover.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int pre_switchover_init(struct pre_switchover *p, struct error *err)
{
    p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return p->fd < 0 ? err_sys(err, "eventfd") : 0;
}

void pre_switchover_done(struct pre_switchover *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

void pre_switchover_end(struct pre_switchover *p)
{
    (void)!eventfd_write(p->fd, 1);
}

int pre_switchover_wait(struct pre_switchover *p, struct channel_group *group, int watched,
                        struct error *err)
{
    struct pollfd fds[] = {
        {.fd = p->fd, .events = POLLIN},
        {.fd = group->cancel.fd, .events = POLLIN}, /* a failure of the group requests it */
        {.fd = watched, .events = POLLRDHUP},
    };

    while (poll(fds, ARRAY_LEN(fds), -1) < 0) {
        if (errno != EINTR)
            return err_sys(err, "poll");
    }
    if (channel_group_check(group, err) < 0)
        return -1;
    if (fds[2].revents)
        return err_set(err, ERR_PEER, "the destination has closed the connection");
    return 0;
}
