#include "control/qmp_connection.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json_memory.h"

#define UNREAD_MAX  ((size_t)4 << 20)   /* a client with more unread bytes is dropped */
#define UNREAD_FULL ((size_t)256 << 10) /* no commands are taken from a client with so many */

/* --- what goes out --------------------------------------------------------------------------- */

void qmp_connection_queue(struct qmp_connection *c, const char *text, size_t len)
{
    struct error ignored;

    if (c->dropped)
        return;
    if (c->out.len - c->sent + len > UNREAD_MAX || buf_append(&c->out, text, len, &ignored) < 0 ||
        buf_append(&c->out, "\r\n", 2, &ignored) < 0)
        c->dropped = true;
}

static void on_say(void *arg, const json_t *message)
{
    struct qmp_connection *c = arg;
    char *text = json_dumps(message, JSON_ENSURE_ASCII);

    pthread_mutex_lock(c->lock);
    if (text && !json_memory_ran_out())
        qmp_connection_queue(c, text, strlen(text));
    else
        c->dropped = true; /* a part of an answer, or none, would mislead it */
    pthread_mutex_unlock(c->lock);
    free(text);
}

static void on_ready(void *arg)
{
    struct qmp_connection *c = arg;

    pthread_mutex_lock(c->lock);
    c->ready = true;
    pthread_mutex_unlock(c->lock);
}

static const struct qmp_session_ops session_ops = {.say = on_say, .ready = on_ready};

void qmp_connection_send(struct qmp_connection *c)
{
    pthread_mutex_lock(c->lock);
    while (!c->dropped && c->sent < c->out.len) {
        ssize_t n =
            send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            c->dropped = errno != EAGAIN;
            break;
        }
        c->sent += (size_t)n;
    }
    if (c->sent == c->out.len)
        c->sent = c->out.len = 0;
    pthread_mutex_unlock(c->lock);
}

/* Removes what was sent from the buffer's front, when it is more than half. */
static void compact(struct qmp_connection *c)
{
    pthread_mutex_lock(c->lock);
    if (c->sent > c->out.len / 2) {
        memmove(c->out.data, c->out.data + c->sent, c->out.len - c->sent);
        c->out.len -= c->sent;
        c->sent = 0;
    }
    pthread_mutex_unlock(c->lock);
}

size_t qmp_connection_unread(struct qmp_connection *c)
{
    pthread_mutex_lock(c->lock);
    size_t n = c->out.len - c->sent;
    pthread_mutex_unlock(c->lock);
    return n;
}

/* --- what comes in --------------------------------------------------------------------------- */

void qmp_connection_leave(struct qmp_connection *c)
{
    if (!c->leaving)
        c->leave_by = deadline_in_ms(QMP_FAREWELL_MS);
    c->leaving = true;
}

/* A client that has closed its end leaves; what it sent before is still answered. */
static void receive(struct qmp_connection *c)
{
    ssize_t n = recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        qmp_connection_leave(c);
    c->at = 0;
    c->len = n > 0 ? (size_t)n : 0;
    if (n > 0)
        c->heard_ns = clock_ns();
}

/* Runs what has come, until the client has too much to read. */
static void hear(struct qmp_connection *c)
{
    while (c->at < c->len && !c->session.over && qmp_connection_unread(c) < UNREAD_FULL)
        c->at += qmp_session_feed(&c->session, c->in + c->at, c->len - c->at);
    if (c->session.over)
        qmp_connection_leave(c);
}

short qmp_connection_awaits(struct qmp_connection *c)
{
    short events = qmp_connection_unread(c) ? POLLOUT : 0;

    if (!c->leaving && c->at == c->len)
        events |= POLLIN;
    return events;
}

void qmp_connection_serve(struct qmp_connection *c, short events)
{
    if (events & (POLLIN | POLLHUP | POLLERR) && c->at == c->len && !c->leaving)
        receive(c);
    do {
        hear(c);
        qmp_connection_send(c);
    } while (c->at < c->len && !c->session.over && qmp_connection_unread(c) < UNREAD_FULL);
    compact(c);
}

/* --- life ------------------------------------------------------------------------------------ */

void qmp_connection_drop(struct qmp_connection *c)
{
    pthread_mutex_lock(c->lock);
    c->dropped = true;
    pthread_mutex_unlock(c->lock);
}

bool qmp_connection_is_gone(struct qmp_connection *c)
{
    pthread_mutex_lock(c->lock);
    bool dropped = c->dropped;
    pthread_mutex_unlock(c->lock);
    return dropped || (c->leaving && (qmp_connection_unread(c) == 0 || clock_ns() >= c->leave_by));
}

struct qmp_connection *qmp_connection_new(const struct qmp_registry *registry,
                                          pthread_mutex_t *lock, int *fd)
{
    struct qmp_connection *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->lock = lock;
    c->fd = fd_take(fd);
    c->heard_ns = clock_ns();
    qmp_session_init(&c->session, registry, &session_ops, c);
    qmp_session_greet(&c->session);
    if (qmp_connection_is_gone(c)) { /* no memory for the greeting: it would wait for ever */
        qmp_connection_free(c);
        return NULL;
    }
    return c;
}

void qmp_connection_free(struct qmp_connection *c)
{
    fd_close(&c->fd);
    qmp_session_done(&c->session);
    buf_done(&c->out);
    free(c);
}
