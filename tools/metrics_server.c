#include "tools/metrics_server.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/thread.h"
#include "tools/metrics_http.h"
#include "transport/transport.h"

#define CLIENTS_MAX 8
#define CLIENT_MS   5000 /* for a whole exchange */
#define FRESH_MS    100  /* so long a text is used again */
#define PAUSE_MS    500  /* when accept(2) fails: until the next attempt */

struct client {
    int fd;            /* -1: free */
    uint64_t deadline; /* by which all is over */
    char request[HTTP_REQUEST_MAX];
    size_t got;
    struct buf answer; /* empty: the request is not complete */
    size_t sent;
    bool ended; /* it sends no more, but may still read */
};

struct metrics_server {
    /* Set before the thread starts. */
    struct listener listener;
    int (*write)(struct buf *to, struct error *err);
    struct cancel stop;
    struct thread thread;

    /* The thread's alone. */
    struct client clients[CLIENTS_MAX];
    struct buf text; /* the last one, and since when */
    uint64_t text_ns;
    uint64_t accepts_ns; /* nobody is accepted before; 0: at once */
};

static void drop(struct client *c)
{
    fd_close(&c->fd);
    buf_done(&c->answer);
    c->got = c->sent = 0;
    c->ended = false;
}

/* --- the answer ------------------------------------------------------------------------------ */

static int refresh(struct metrics_server *s, struct error *err)
{
    uint64_t now = clock_ns();

    if (s->text.len > 0 && now - s->text_ns < FRESH_MS * NS_PER_MS)
        return 0;
    s->text.len = 0;
    s->text_ns = now;
    return s->write(&s->text, err);
}

static int answer(struct metrics_server *s, struct client *c, enum http_ask ask, struct error *err)
{
    bool ours = ask == HTTP_METRICS || ask == HTTP_HEAD;
    char head[HTTP_HEAD_LEN];

    if (ours && refresh(s, err) < 0)
        return -1;
    size_t len = http_answer_head(ask, ours ? s->text.len : 0, head);
    if (buf_append(&c->answer, head, len, err) < 0)
        return -1;
    return ask == HTTP_METRICS ? buf_append(&c->answer, s->text.data, s->text.len, err) : 0;
}

/* Sends what the socket takes. At the end our direction is closed, and the client's close awaited:
 * a close with unread bytes would take the answer back. */
static bool send_some(struct client *c)
{
    ssize_t n =
        send(c->fd, c->answer.data + c->sent, c->answer.len - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    c->sent += (size_t)n;
    if (c->sent < c->answer.len)
        return true;
    return !c->ended && shutdown(c->fd, SHUT_WR) == 0;
}

/* False: the connection is over. */
static bool read_some(struct metrics_server *s, struct client *c)
{
    char ignored[HTTP_REQUEST_MAX];
    bool asks = c->answer.len == 0;
    struct error err;
    ssize_t n = recv(c->fd, asks ? c->request + c->got : ignored,
                     asks ? sizeof(c->request) - c->got : sizeof(ignored), MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    c->ended = n == 0;
    if (n == 0)
        return c->sent < c->answer.len;
    if (!asks)
        return true;
    c->got += (size_t)n;
    enum http_ask ask = http_ask_of(c->request, c->got);
    if (ask == HTTP_MORE)
        return true;
    return answer(s, c, ask, &err) == 0 && send_some(c);
}

static bool serve(struct metrics_server *s, struct client *c, short events)
{
    if (events & POLLOUT && !send_some(c))
        return false;
    return !(events & (POLLIN | POLLHUP | POLLERR)) || read_some(s, c);
}

/* --- the connections ------------------------------------------------------------------------- */

/* A free place, or that of the client that has been here longest. */
static struct client *place(struct metrics_server *s)
{
    struct client *oldest = &s->clients[0];

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (s->clients[i].fd < 0)
            return &s->clients[i];
        if (s->clients[i].deadline < oldest->deadline)
            oldest = &s->clients[i];
    }
    drop(oldest);
    return oldest;
}

static void accept_one(struct metrics_server *s)
{
    const struct transport_config config = {.cancel = &s->stop};
    struct error err;
    int fd;

    if (listener_accept(&s->listener, &config, &fd, &err) < 0) {
        s->accepts_ns = clock_ns() + PAUSE_MS * NS_PER_MS; /* no descriptor is left, perhaps */
        return;
    }
    if (fd < 0)
        return;
    struct client *c = place(s);
    c->fd = fd;
    c->deadline = deadline_in_ms(CLIENT_MS);
}

/* Waits until something happens; returns false when the server is to stop. */
static bool wait(struct metrics_server *s, struct pollfd clients[static CLIENTS_MAX],
                 bool *ret_connection)
{
    struct pollfd all[1 + CLIENTS_MAX + LISTENER_MAX] = {{.fd = s->stop.fd, .events = POLLIN}};
    bool accepts = clock_ns() >= s->accepts_ns;
    uint64_t deadline = accepts ? DEADLINE_NEVER : s->accepts_ns;
    struct pollfd *listening = all + 1 + CLIENTS_MAX;

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        const struct client *c = &s->clients[i];
        short reads = c->ended ? 0 : POLLIN, sends = c->sent < c->answer.len ? POLLOUT : 0;

        all[1 + i] = (struct pollfd){.fd = c->fd, .events = (short)(reads | sends)};
        if (c->fd >= 0)
            deadline = MIN(deadline, c->deadline);
    }
    for (size_t i = 0; i < s->listener.n; i++)
        listening[i] = (struct pollfd){.fd = accepts ? s->listener.fds[i] : -1, .events = POLLIN};
    if (poll(all, 1 + CLIENTS_MAX + s->listener.n, deadline_poll_ms(deadline)) < 0)
        return errno == EINTR;
    memcpy(clients, all + 1, CLIENTS_MAX * sizeof(*clients));
    *ret_connection = false;
    for (size_t i = 0; i < s->listener.n; i++)
        *ret_connection |= listening[i].revents != 0;
    return !all[0].revents;
}

static void *server_main(void *arg)
{
    struct metrics_server *s = arg;
    struct pollfd polled[CLIENTS_MAX] = {{0}};
    bool connection = false;

    while (wait(s, polled, &connection)) {
        for (size_t i = 0; i < CLIENTS_MAX; i++) {
            struct client *c = &s->clients[i];

            if (c->fd >= 0 && (!serve(s, c, polled[i].revents) || clock_ns() >= c->deadline))
                drop(c);
        }
        if (connection)
            accept_one(s);
    }
    return NULL;
}

int metrics_server_start(struct listener *listener, int (*write)(struct buf *to, struct error *err),
                         struct metrics_server **ret, struct error *err)
{
    struct metrics_server *s = calloc(1, sizeof(*s));

    if (!s) {
        listener_done(listener);
        return err_sys(err, "memory for a server of metrics");
    }
    s->listener = *listener;
    s->write = write;
    s->stop.fd = -1;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        s->clients[i].fd = -1;
    if (cancel_init(&s->stop, err) < 0 ||
        thread_start(&s->thread, server_main, s, err, "metrics") < 0) {
        metrics_server_stop(s);
        return -1;
    }
    *ret = s;
    return 0;
}

void metrics_server_stop(struct metrics_server *s)
{
    if (!s)
        return;
    if (s->thread.running)
        cancel_request(&s->stop);
    thread_join(&s->thread);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        drop(&s->clients[i]);
    listener_done(&s->listener);
    buf_done(&s->text);
    cancel_done(&s->stop);
    free(s);
}
