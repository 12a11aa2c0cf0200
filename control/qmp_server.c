#include "control/qmp_server.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json_memory.h"
#include "base/thread.h"
#include "control/qmp_connection.h"
#include "transport/transport.h"

#define FLUSH_MS    100
#define MUTE_MS     500 /* without accepts, after one that failed for lack of a resource */
#define NAP_MS      20  /* after a poll that failed, so that the thread does not spin */
#define ACCEPTS_MAX 4   /* in a turn: a new client is heard before others can push it out */
#define SOCKETS_MAX (QMP_ADDRESSES_MAX * LISTENER_MAX)

struct qmp_server {
    /* Set before the thread starts, read-only after. */
    struct qmp_registry registry;
    struct listener listeners[QMP_ADDRESSES_MAX];
    size_t n_listeners;
    int wake; /* an eventfd: there is something to do for the thread */
    struct thread thread;

    uint64_t muted_until; /* the thread's */

    /* Under the lock; only the thread adds and removes clients, and may look without it. */
    pthread_mutex_t lock;
    struct qmp_connection *clients[QMP_CLIENTS_MAX];
    size_t n_clients;
    bool stopping;
    uint64_t flush_wanted, flushed; /* numbers of flush requests: the last made, the last served */
    pthread_cond_t turned;
};

/* --- events ---------------------------------------------------------------------------------- */

static void wake(struct qmp_server *s)
{
    (void)!eventfd_write(s->wake, 1); /* fails only when full: then the thread is awake already */
}

void qmp_server_event(struct qmp_server *s, const char *name, json_t *data)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    json_auto_t *event =
        json_pack("{s:{s:I, s:I}, s:s, s:o*}", "timestamp", "seconds", (json_int_t)now.tv_sec,
                  "microseconds", (json_int_t)now.tv_nsec / 1000, "event", name, "data", data);
    char *text = event ? json_dumps(event, JSON_ENSURE_ASCII) : NULL;
    bool whole = text && !json_memory_ran_out();

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_clients; i++) {
        struct qmp_connection *c = s->clients[i];

        if (c->ready && whole)
            qmp_connection_queue(c, text, strlen(text));
        else if (c->ready)
            c->dropped = true; /* it would wait for the event for ever */
    }
    pthread_mutex_unlock(&s->lock);
    free(text);
    wake(s);
}

/* --- clients --------------------------------------------------------------------------------- */

static void remove_gone(struct qmp_server *s)
{
    for (size_t i = s->n_clients; i > 0; i--) {
        struct qmp_connection *c = s->clients[i - 1];

        if (!qmp_connection_is_gone(c))
            continue;
        pthread_mutex_lock(&s->lock);
        s->clients[i - 1] = s->clients[--s->n_clients];
        pthread_mutex_unlock(&s->lock);
        qmp_connection_free(c);
    }
}

/* Whether `a` should make room rather than `b`. */
static bool is_idler(const struct qmp_connection *a, const struct qmp_connection *b)
{
    if (a->leaving != b->leaving)
        return a->leaving;
    if (a->ready != b->ready)
        return b->ready;
    return a->heard_ns < b->heard_ns;
}

/*
 * Forgotten clients must not keep others out. The first to go is one that is leaving anyway, then
 * one that has not negotiated, then any; among equals the one that has been silent for longest.
 */
static void make_room(struct qmp_server *s)
{
    struct qmp_connection *idlest = s->clients[0];
    char text[200];

    for (size_t i = 1; i < s->n_clients; i++) {
        if (is_idler(s->clients[i], idlest))
            idlest = s->clients[i];
    }
    snprintf(text, sizeof(text),
             "{\"error\": {\"class\": \"GenericError\", \"desc\": \"too many clients: this one, "
             "idle for %llu s, makes room for another\"}}",
             (unsigned long long)((clock_ns() - idlest->heard_ns) / NS_PER_S));
    pthread_mutex_lock(&s->lock);
    qmp_connection_queue(idlest, text, strlen(text));
    pthread_mutex_unlock(&s->lock);
    qmp_connection_send(idlest);
    qmp_connection_drop(idlest);
    remove_gone(s);
}

static void add_client(struct qmp_server *s, int *fd)
{
    struct qmp_connection *c = qmp_connection_new(&s->registry, &s->lock, fd);

    if (!c)
        return; /* the caller closes the descriptor, if it still has it */
    if (s->n_clients == QMP_CLIENTS_MAX)
        make_room(s);
    pthread_mutex_lock(&s->lock);
    s->clients[s->n_clients++] = c;
    pthread_mutex_unlock(&s->lock);
}

/* Few in a turn: a flood of connections must not starve the clients, nor push out a new one. */
static void accept_clients(struct qmp_server *s, struct listener *l)
{
    const struct transport_config config = {0};
    struct error ignored;

    for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
        AUTO_FD int fd = -1;

        if (listener_accept(l, &config, &fd, &ignored) < 0) {
            s->muted_until = deadline_in_ms(MUTE_MS); /* the connection stays in the queue */
            return;
        }
        if (fd < 0)
            return;
        add_client(s, &fd);
    }
}

/* --- the thread ------------------------------------------------------------------------------ */

/* What the thread waits for: the wake eventfd, then listeners, then clients. */
struct wait {
    struct pollfd fds[1 + SOCKETS_MAX + QMP_CLIENTS_MAX];
    size_t n, first_client, n_clients;
    uint64_t until;
};

/* Where poll(2) itself fails, all descriptors count as ready: no call here blocks on a socket. */
static void wait_for_some(struct pollfd *fds, size_t n, uint64_t until)
{
    static const struct timespec nap = {.tv_nsec = NAP_MS * (long)NS_PER_MS};

    if (poll(fds, n, deadline_poll_ms(until)) >= 0 || errno == EINTR)
        return;
    for (size_t i = 0; i < n; i++)
        fds[i].revents = fds[i].events;
    clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
}

static void add_wait(struct wait *w, int fd, short events)
{
    w->fds[w->n++] = (struct pollfd){.fd = fd, .events = events};
}

static void prepare(struct qmp_server *s, struct wait *w)
{
    bool muted = clock_ns() < s->muted_until;

    *w = (struct wait){.until = muted ? s->muted_until : DEADLINE_NEVER};
    add_wait(w, s->wake, POLLIN);
    for (size_t i = 0; i < s->n_listeners; i++) {
        for (size_t j = 0; j < s->listeners[i].n; j++)
            add_wait(w, s->listeners[i].fds[j], muted ? 0 : POLLIN);
    }
    w->first_client = w->n;
    w->n_clients = s->n_clients;
    for (size_t i = 0; i < s->n_clients; i++) {
        struct qmp_connection *c = s->clients[i];

        if (c->leaving)
            w->until = MIN(w->until, c->leave_by);
        add_wait(w, c->fd, qmp_connection_awaits(c));
    }
}

/* *ret_flush: the turn that follows serves the flush requests up to this number. */
static bool is_stopping(struct qmp_server *s, uint64_t *ret_flush)
{
    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping, asked = s->flushed < s->flush_wanted;
    *ret_flush = s->flush_wanted;
    pthread_mutex_unlock(&s->lock);
    if (asked) /* the wake-up for a request may have been used by the turn before it */
        wake(s);
    return stopping;
}

static void tell_flushed(struct qmp_server *s, uint64_t flush)
{
    pthread_mutex_lock(&s->lock);
    s->flushed = flush;
    pthread_cond_broadcast(&s->turned);
    pthread_mutex_unlock(&s->lock);
}

static void serve_all(struct qmp_server *s, const struct wait *w)
{
    eventfd_t ignored;

    if (w->fds[0].revents)
        (void)!eventfd_read(s->wake, &ignored);
    for (size_t i = 0; i < w->n_clients; i++)
        qmp_connection_serve(s->clients[i], w->fds[w->first_client + i].revents);
    remove_gone(s);
    for (size_t i = 0; i < s->n_listeners && clock_ns() >= s->muted_until; i++)
        accept_clients(s, &s->listeners[i]);
}

/* Gives clients a moment to read what is queued: it may be the answer to quit. */
static void take_leave(struct qmp_server *s)
{
    struct wait w;
    uint64_t deadline = deadline_in_ms(QMP_FAREWELL_MS);

    for (;;) {
        for (size_t i = 0; i < s->n_clients; i++) {
            qmp_connection_leave(s->clients[i]);
            qmp_connection_send(s->clients[i]);
        }
        remove_gone(s);
        if (s->n_clients == 0 || clock_ns() >= deadline)
            break;
        prepare(s, &w);
        wait_for_some(w.fds + w.first_client, w.n_clients, deadline);
    }
    for (size_t i = 0; i < s->n_clients; i++)
        qmp_connection_drop(s->clients[i]);
    remove_gone(s);
}

static void *server_main(void *arg)
{
    struct qmp_server *s = arg;
    uint64_t flush;
    struct wait w;

    while (!is_stopping(s, &flush)) {
        prepare(s, &w);
        wait_for_some(w.fds, w.n, w.until);
        serve_all(s, &w);
        tell_flushed(s, flush);
    }
    take_leave(s);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------ */

int qmp_server_new(const struct qmp_registry *registry, struct qmp_server **ret, struct error *err)
{
    struct qmp_server *s = calloc(1, sizeof(*s));

    if (!s)
        return err_sys(err, "memory for a monitor");
    s->registry = *registry;
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake < 0) {
        err_sys(err, "monitor: eventfd");
        free(s);
        return -1;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->turned, NULL);
    *ret = s;
    return 0;
}

int qmp_server_listen(struct qmp_server *s, const struct address *at,
                      const struct transport_config *config, struct error *err)
{
    if (at->scheme == ADDRESS_FD)
        return err_set(err, ERR_USAGE, "a monitor at %s: expected unix:PATH or tcp:HOST:PORT",
                       at->text);
    if (s->n_listeners == QMP_ADDRESSES_MAX)
        return err_set(err, ERR_USAGE, "a monitor at %s: expected at most %d addresses", at->text,
                       QMP_ADDRESSES_MAX);
    if (transport_listen(at, config, &s->listeners[s->n_listeners], err) < 0)
        return err_in(err, "monitor");
    s->n_listeners++;
    return 0;
}

const char *qmp_server_address(const struct qmp_server *s, size_t i)
{
    return i < s->n_listeners ? s->listeners[i].text : NULL;
}

int qmp_server_start(struct qmp_server *s, struct error *err)
{
    return thread_start(&s->thread, server_main, s, err, "monitor");
}

void qmp_server_flush(struct qmp_server *s)
{
    struct timespec until = deadline_timespec(deadline_in_ms(FLUSH_MS));

    if (!s || !s->thread.running)
        return;
    pthread_mutex_lock(&s->lock);
    uint64_t wanted = ++s->flush_wanted;
    pthread_mutex_unlock(&s->lock);
    wake(s);
    pthread_mutex_lock(&s->lock);
    while (s->flushed < wanted &&
           pthread_cond_clockwait(&s->turned, &s->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    pthread_mutex_unlock(&s->lock);
}

void qmp_server_stop(struct qmp_server *s)
{
    if (!s || !s->thread.running)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_mutex_unlock(&s->lock);
    wake(s);
    thread_join(&s->thread);
}

void qmp_server_free(struct qmp_server *s)
{
    if (!s)
        return;
    qmp_server_stop(s);
    for (size_t i = 0; i < s->n_listeners; i++)
        listener_done(&s->listeners[i]);
    fd_close(&s->wake);
    pthread_cond_destroy(&s->turned);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
