#include "transport/connect_any.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "transport/sockaddr.h"

#define AT_ONCE_MAX 16   /* attempts under way; further addresses wait until one has failed */
#define NEXT_MS     1000 /* how long a silent address delays the next one */

struct attempt {
    int fd;
    const struct addrinfo *ai;
    int sys; /* the errno of a failed attempt, or 0 */
    bool connected;
};

struct race {
    const struct addrinfo *next; /* the next to try; NULL: none is left */
    struct attempt attempts[AT_ONCE_MAX];
    size_t n;
    uint64_t next_at, stagger_ms;
    void (*prepare)(int fd, const struct addrinfo *ai);
    char text[320]; /* the peer, for error texts */
};

/* Sets *err from errno. */
static void failed(const struct addrinfo *ai, struct error *err)
{
    sockaddr_failed("connect to", ai->ai_addr, ai->ai_addrlen, err);
}

/* The delay between two attempts: short enough that every address is tried before the deadline. */
static uint64_t stagger_ms(const struct addrinfo *list, uint64_t deadline)
{
    uint64_t n = 0, now = clock_ns();

    for (; list; list = list->ai_next)
        n++;
    if (deadline == DEADLINE_NEVER)
        return NEXT_MS;
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): nobody asks for an empty list */
    return deadline <= now ? 0 : MIN((uint64_t)NEXT_MS, (deadline - now) / NS_PER_MS / n);
}

/* Begins a connection to the next address. One that fails at once sets *err. */
static void start_next(struct race *r, struct error *err)
{
    const struct addrinfo *ai = r->next;
    AUTO_FD int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    r->next = ai->ai_next;
    r->next_at = 0;
    if (fd >= 0 && r->prepare)
        r->prepare(fd, ai);
    if (fd < 0 || (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS &&
                   errno != EINTR)) { /* after EINTR the attempt goes on, as after EINPROGRESS */
        failed(ai, err);
        return;
    }
    r->next_at = clock_ns() + r->stagger_ms * NS_PER_MS;
    r->attempts[r->n++] = (struct attempt){.fd = fd_take(&fd), .ai = ai};
}

static void drop(struct race *r, size_t i)
{
    fd_close(&r->attempts[i].fd);
    memmove(&r->attempts[i], &r->attempts[i + 1], (r->n - i - 1) * sizeof(r->attempts[0]));
    r->n--;
}

/* Whether the next address may be tried now. */
static bool may_start(const struct race *r)
{
    return r->next && r->n < AT_ONCE_MAX && (r->n == 0 || clock_ns() >= r->next_at);
}

/* Takes the first socket that is connected, in order, or -1. Drops attempts that have failed. */
static int take_ready(struct race *r, const struct pollfd *fds, struct error *err)
{
    for (size_t i = r->n; i > 0; i--) { /* from the end: drop() moves the later attempts */
        struct attempt *a = &r->attempts[i - 1];
        socklen_t len = sizeof(a->sys);

        if (!fds[i - 1].revents)
            continue;
        getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &a->sys, &len);
        a->connected = a->sys == 0;
        if (a->connected)
            continue;
        errno = a->sys;
        failed(a->ai, err);
        drop(r, i - 1);
        r->next_at = 0; /* the next need not wait for this one */
    }
    for (size_t i = 0; i < r->n; i++) {
        if (r->attempts[i].connected)
            return fd_take(&r->attempts[i].fd);
    }
    return -1;
}

/* Waits until an attempt is connected or has failed, or until the next may start. *ret_fd is the
 * connected socket, or -1. */
static int wait_a_turn(struct race *r, uint64_t deadline, const struct cancel *cancel, int *ret_fd,
                       struct error *err)
{
    struct pollfd fds[AT_ONCE_MAX + 1];
    bool more = r->next && r->n < AT_ONCE_MAX;
    int wait_ms = deadline_poll_ms(more ? MIN(deadline, r->next_at) : deadline);

    for (size_t i = 0; i < r->n; i++)
        fds[i] = (struct pollfd){.fd = r->attempts[i].fd, .events = POLLOUT};
    fds[r->n] = (struct pollfd){.fd = cancel->fd, .events = POLLIN};
    int n = poll(fds, r->n + 1, wait_ms);
    if (n < 0 && errno != EINTR)
        return err_sys(err, "connect to %s: poll", r->text);
    if (n > 0 && fds[r->n].revents)
        return err_set(err, ERR_CANCELLED, "connect to %s: cancelled", r->text);
    *ret_fd = n > 0 ? take_ready(r, fds, err) : -1;
    if (*ret_fd < 0 && r->n > 0 && clock_ns() >= deadline) {
        errno = ETIMEDOUT;
        return err_sys(err, "connect to %s: gave up waiting", r->text);
    }
    return 0;
}

static int run(struct race *r, uint64_t deadline, const struct cancel *cancel, struct error *err)
{
    int fd = -1;

    while (fd < 0) {
        while (may_start(r))
            start_next(r, err);
        if (r->n == 0)
            return -1; /* *err is the last address's error */
        if (wait_a_turn(r, deadline, cancel, &fd, err) < 0)
            return -1;
    }
    return fd;
}

int connect_any(const struct addrinfo *list, const char *text,
                void (*prepare)(int fd, const struct addrinfo *ai), uint64_t deadline,
                const struct cancel *cancel, int *ret_fd, struct error *err)
{
    struct race r = {.next = list, .prepare = prepare, .stagger_ms = stagger_ms(list, deadline)};

    if (list->ai_next)
        snprintf(r.text, sizeof(r.text), "%s", text);
    else
        sockaddr_text(list->ai_addr, list->ai_addrlen, r.text);
    AUTO_FD int fd = run(&r, deadline, cancel, err);
    while (r.n > 0)
        drop(&r, r.n - 1);
    if (fd < 0)
        return -1;
    if (fcntl(fd, F_SETFL, 0) < 0)
        return err_sys(err, "connect to %s: fcntl", r.text);
    *ret_fd = fd_take(&fd);
    return 0;
}
