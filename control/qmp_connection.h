/*
 * control/qmp_connection.h: one client of a monitor: its socket, its session, and what it has not
 * read yet. Nothing here waits: the server's thread says when the socket is ready.
 *
 * All functions but qmp_connection_queue() are for the server's thread, without the lock.
 */
#pragma once

#include <pthread.h>

#include "base/buf.h"
#include "control/qmp_session.h"

#define QMP_FAREWELL_MS 1000

struct qmp_connection {
    /* Set once. */
    pthread_mutex_t *lock; /* the server's */
    int fd;

    /* For the server's thread only. */
    struct qmp_session session;
    uint8_t in[16384]; /* received, and given to the session up to `at` */
    size_t at, len;
    uint64_t heard_ns; /* when it last sent something, or connected */
    bool leaving;      /* nothing more is taken from it: it is closed when it has read all */
    uint64_t leave_by;

    /* Under the server's lock. */
    struct buf out; /* sent up to `sent` */
    size_t sent;
    bool ready;   /* for events */
    bool dropped; /* it is closed at once, whatever is unsent */
};

/* Takes the descriptor and queues the greeting. NULL: no memory; the descriptor is still the
 * caller's, or is closed. `registry` and `lock` live longer. */
struct qmp_connection *qmp_connection_new(const struct qmp_registry *registry,
                                          pthread_mutex_t *lock, int *fd);
void qmp_connection_free(struct qmp_connection *c);

/* Any thread, under the lock: text for the client. Drops a client that has too much to read. */
void qmp_connection_queue(struct qmp_connection *c, const char *text, size_t len);
/* Sends what the socket takes without a wait. */
void qmp_connection_send(struct qmp_connection *c);
size_t qmp_connection_unread(struct qmp_connection *c);

/* The events of poll(2) that it waits for, and what is done when they have come. */
short qmp_connection_awaits(struct qmp_connection *c);
void qmp_connection_serve(struct qmp_connection *c, short events);

/* Takes nothing more from the client, which has QMP_FAREWELL_MS to read what is queued for it. */
void qmp_connection_leave(struct qmp_connection *c);
/* The client is to be closed at once. */
void qmp_connection_drop(struct qmp_connection *c);
/* Whether it can be closed. */
bool qmp_connection_is_gone(struct qmp_connection *c);
