#include "base/cancel.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fd.h"

int cancel_init(struct cancel *c, struct error *err)
{
    atomic_init(&c->requested, false);
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->fd < 0)
        return err_sys(err, "eventfd");
    return 0;
}

void cancel_done(struct cancel *c)
{
    fd_close(&c->fd);
}

void cancel_request(struct cancel *c)
{
    int saved = errno;

    atomic_store(&c->requested, true);
    /* Fails only if the counter is full; then the descriptor is readable already. */
    (void)!eventfd_write(c->fd, 1);
    errno = saved;
}

bool cancel_requested(const struct cancel *c)
{
    return atomic_load(&c->requested);
}

int cancel_poll(const struct cancel *c, int fd, short events, uint64_t deadline, struct error *err)
{
    struct pollfd p[] = {{.fd = fd, .events = events}, {.fd = c->fd, .events = POLLIN}};

    for (;;) {
        int n = poll(p, ARRAY_LEN(p), deadline_poll_ms(deadline));

        if (n < 0 && errno != EINTR)
            return err_sys(err, "poll");
        if (n > 0 && p[1].revents)
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (n > 0)
            return 0;
        if (clock_ns() >= deadline) {
            errno = ETIMEDOUT;
            return err_sys(err, "gave up waiting");
        }
    }
}
