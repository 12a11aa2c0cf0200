#include "migration/acceptor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/signature.h"
#include "base/thread.h"
#include "stream/stream_format.h"

#define MAGIC_LEN 4 /* bytes that tell what a connection is */

#define REFUSED_TOLD 8 /* this many refusals are reported; a flood of them is not */

/* The group must also have room for main, and for what is no connection. */
#define CONNECTIONS_MAX (CHANNEL_GROUP_MAX - 2)

/* A connection that has not said yet what it is, and the argument of its thread. */
struct arrival {
    struct acceptor *a;
    struct channel *channel; /* as it was accepted; valid while the connection is in the list */
    char peer[TRANSPORT_PEER_LEN];
    struct thread thread; /* needed to start it */
    uint64_t number;      /* in the order in which they came, from 1 */

    /* Under the group's lock. */
    uint64_t deadline; /* by which it must have said what it is */
    bool known;        /* it has said in time what it is */
    bool dismissed;    /* it is not waited for any more */
    struct arrival *older, *newer;
};

struct acceptor {
    /* Set before the threads start, read-only after. */
    struct acceptor_config config;
    struct channel_group *group;
    struct listener listener;
    int wake; /* an eventfd: makes the acceptor look again what it waits for */

    pthread_mutex_t accept_lock; /* guards the listener: acceptor_settle() accepts, too */
    struct thread acceptor;

    /* Under the group's lock. */
    struct channel *main;
    uint64_t main_number;   /* its number; the channels of its source have higher ones */
    uint64_t main_deadline; /* by which it must have proven that it is a migration */
    bool main_taken;        /* it belongs to the caller now */
    bool main_over;         /* the source will write nothing more on it */
    bool left;              /* main_over, and all connections that may be its channels are known */
    bool begun;             /* a multifd channel has come, so there is a source */
    bool enough;            /* the next connections are for another migration */
    bool settling;          /* acceptor_settle() runs: main is not read meanwhile */
    size_t living;          /* connections whose threads run */
    bool crowded;           /* the next connection is accepted only when one of them has ended */
    uint64_t accepted;      /* how many connections have come */
    struct arrival *oldest, *newest; /* the list of connections that have not said what they are */
    struct error refused;            /* why the first connection was refused */
    uint64_t n_refused;
    struct error scarce;   /* why some were dropped to make room; ERR_NONE: none was */
    uint64_t last_refused; /* the highest number of a connection that was sent away */
};

static int first_bytes(struct channel *c, void *to, size_t len, const char *what, struct error *err)
{
    struct iovec iov = {to, len};
    size_t got;

    if (channel_recvv(c, &iov, 1, len, 0, &got, err) < 0)
        return err_in(err, "%s", what);
    return 0;
}

/* --- connections that have not said what they are --------------------------------------------- */

/* Makes the acceptor look again what it waits for, and until when. */
static void wake_acceptor(const struct acceptor *a)
{
    (void)!eventfd_write(a->wake, 1); /* fails only where it will wake up anyway */
}

/* Under the lock. */
static void enlist(struct acceptor *a, struct arrival *arrival)
{
    arrival->number = ++a->accepted;
    arrival->deadline = deadline_in_ms(a->config.connect->connect_timeout_ms);
    arrival->older = a->newest;
    *(a->newest ? &a->newest->newer : &a->oldest) = arrival;
    a->newest = arrival;
    a->living++;
    wake_acceptor(a); /* there is a new deadline, and the acceptor may be asleep */
}

/* Under the lock. The connection is known, or was refused. A second call does nothing. */
static void delist(struct acceptor *a, struct arrival *arrival)
{
    if (a->oldest != arrival && !arrival->older)
        return;
    *(arrival->older ? &arrival->older->newer : &a->oldest) = arrival->newer;
    *(arrival->newer ? &arrival->newer->older : &a->newest) = arrival->older;
    arrival->older = arrival->newer = NULL;
    if (a->settling || !a->main) /* a thread may wait for the last one */
        pthread_cond_broadcast(&a->group->changed);
    if (a->main_over) /* and so may the acceptor */
        wake_acceptor(a);
}

/* Under the lock. The connection is known now; false: it was dismissed before. */
static bool is_in_time(struct arrival *arrival)
{
    arrival->known = !arrival->dismissed;
    return arrival->known;
}

/* Under the lock. The connection's thread wakes up, and drops the channel. */
static void dismiss(struct acceptor *a, struct arrival *arrival)
{
    if (arrival->dismissed || arrival->known)
        return;
    arrival->dismissed = true;
    a->last_refused = MAX(a->last_refused, arrival->number);
    channel_interrupt(arrival->channel);
}

/* Under the lock. False: nobody can be dismissed. */
static bool dismiss_oldest(struct acceptor *a)
{
    for (struct arrival *i = a->oldest; i; i = i->newer) {
        if (!i->dismissed && !i->known) {
            dismiss(a, i);
            return true;
        }
    }
    return false;
}

/* Under the lock. */
static void dismiss_late(struct acceptor *a)
{
    uint64_t now = clock_ns();

    for (struct arrival *i = a->oldest; i; i = i->newer) {
        if (i->deadline <= now)
            dismiss(a, i);
    }
}

/*
 * Under the lock. Whether the list has a connection that may be a channel of main's source: one
 * that came before main is none, and one after `newest` came too late to be one.
 */
static bool awaits_channel(const struct acceptor *a, uint64_t newest)
{
    for (const struct arrival *i = a->oldest; i; i = i->newer) {
        if (i->number > a->main_number && i->number <= newest)
            return true;
    }
    return false;
}

/* A refused connection does not end the migration. The first one is remembered: it is named where a
 * channel or main is missing. */
static void refuse(struct acceptor *a, const struct arrival *arrival, struct error *err)
{
    if (arrival->peer[0])
        err_in(err, "from %s", arrival->peer);
    pthread_mutex_lock(&a->group->lock);
    if (a->n_refused == 0)
        a->refused = *err;
    a->last_refused = MAX(a->last_refused, arrival->number);
    bool told = a->n_refused++ < REFUSED_TOLD;
    pthread_mutex_unlock(&a->group->lock);
    if (told && a->config.refused)
        a->config.refused(a->config.arg, err);
}

/* What a connection turned out to be. */
enum kind { KIND_MAIN, KIND_MULTIFD, KIND_STRANGER };

/* --- what they say --------------------------------------------------------------------------- */

/* *ret_kind becomes a stranger's if the connection is of another source, which may come again. */
static int greet_main(struct acceptor *a, struct arrival *arrival, struct channel *c,
                      enum kind *ret_kind, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&a->group->lock);
    if (!is_in_time(arrival)) {
        rc = -1;
    } else if (a->main) {
        rc = err_set(err, ERR_PEER, "a second main connection, expected one");
        if (a->config.connect->listening)
            *ret_kind = KIND_STRANGER;
    } else {
        a->main = c;
        a->main_number = arrival->number;
        a->main_deadline = deadline_in_ms(a->config.connect->connect_timeout_ms);
        wake_acceptor(a);
    }
    pthread_cond_broadcast(&a->group->changed);
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}

static int greet_multifd(struct acceptor *a, struct channel *c, const uint8_t magic[MAGIC_LEN],
                         struct multifd_hello *ret, struct error *err)
{
    uint8_t bytes[MULTIFD_HELLO_LEN];

    if (a->config.refuses_channels)
        return err_set_with(err, ERR_PEER, REMEDY_NO_MULTIFD,
                            "a multifd connection, expected none");
    memcpy(bytes, magic, MAGIC_LEN);
    if (first_bytes(c, bytes + MAGIC_LEN, sizeof(bytes) - MAGIC_LEN, "multifd hello", err) < 0 ||
        multifd_hello_decode(bytes, ret, err) < 0)
        return -1;
    if (a->config.uuid && uuid_expect(&ret->uuid, a->config.uuid, "multifd hello", err) < 0)
        return err_in(err, "channel %u", ret->id);
    return 0;
}

/* Takes the channel if the connection is in time. */
static int join(struct acceptor *a, struct arrival *arrival, struct channel **c,
                const struct multifd_hello *hello, struct recv_channel **ret, struct error *err)
{
    pthread_mutex_lock(&a->group->lock);
    bool in_time = is_in_time(arrival);
    pthread_mutex_unlock(&a->group->lock);
    if (!in_time)
        return -1;
    struct channel *taken = *c;
    *c = NULL;
    if (recv_pool_join(a->config.pool, taken, hello, ret, err) < 0)
        return -1;
    pthread_mutex_lock(&a->group->lock);
    if (!a->begun)
        pthread_cond_broadcast(&a->group->changed);
    a->begun = true;
    pthread_mutex_unlock(&a->group->lock);
    return 0;
}

/* Bytes after the magic may tell more about the connection; they are not waited for. */
static int unknown_magic(struct channel *c, const uint8_t magic[MAGIC_LEN], uint32_t value,
                         struct error *err)
{
    uint8_t head[SIGNATURE_LEN];
    struct iovec rest = {head + MAGIC_LEN, sizeof(head) - MAGIC_LEN};
    char name[SIGNATURE_TEXT_LEN];
    size_t len = 0;

    memcpy(head, magic, MAGIC_LEN);
    if (channel_recvv(c, &rest, 1, 1, CHANNEL_NOWAIT, &len, err) < 0)
        len = 0;
    if (signature_name(head, MAGIC_LEN + len, SIGNATURE_PEER, name))
        return err_set_with(err, ERR_PEER, signature_remedy(head, MAGIC_LEN + len, SIGNATURE_PEER),
                            "connection: expected a migration, %s", name);
    return err_set(err, ERR_PEER,
                   "connection: magic 0x%08x, expected 0x%08x (main) or 0x%08x (multifd)", value,
                   STREAM_MAGIC, MULTIFD_MAGIC);
}

/*
 * Does the handshake, and reads the first bytes. A failure is taken for a stranger's and is no
 * error, unless this listener has a single connection. The same goes for an unknown magic, unless
 * there is TLS: then the peer has passed the handshake.
 */
static int first_word(struct acceptor *a, struct channel **c, uint8_t magic[MAGIC_LEN],
                      enum kind *ret, struct error *err)
{
    bool anybody = !a->listener.single;

    *ret = KIND_STRANGER;
    if (connect_secure(a->config.connect, a->group, c, err) < 0)
        return anybody ? 0 : -1;
    if (first_bytes(*c, magic, MAGIC_LEN, "connection: first bytes", err) < 0)
        return anybody ? 0 : -1;
    struct reader r = reader_of(magic, MAGIC_LEN);
    uint32_t value = get_u32(&r);
    if (value == MULTIFD_MAGIC || value == STREAM_MAGIC) {
        *ret = value == STREAM_MAGIC ? KIND_MAIN : KIND_MULTIFD;
        return 0;
    }
    unknown_magic(*c, magic, value, err);
    return anybody && !a->config.connect->tls ? 0 : -1;
}

/*
 * Whether this is a channel of a source that has failed before, and whose main connection an
 * earlier migration had: nothing came before it that could be main, and its other end is closed.
 */
static bool is_left_over(struct acceptor *a, const struct arrival *arrival, const struct channel *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

    if (!a->config.connect->listening)
        return false;
    pthread_mutex_lock(&a->group->lock);
    bool first = !a->main && a->oldest == arrival;
    pthread_mutex_unlock(&a->group->lock);
    return first && poll(&p, 1, 0) > 0;
}

/* Drops the channel of a connection that is not let in. One that has sent nothing is not
 * reported. */
static void send_away(struct acceptor *a, struct arrival *arrival, struct channel *c,
                      struct error *err)
{
    bool spoke = atomic_load(&c->bytes_received) > 0;

    if (spoke && err->kind != ERR_CANCELLED)
        refuse(a, arrival, err);
    pthread_mutex_lock(&a->group->lock);
    delist(a, arrival);
    pthread_mutex_unlock(&a->group->lock);
    channel_group_drop(a->group, c);
}

/*
 * Finds out by its first bytes what the channel is, and hands it over; takes the channel in any
 * case. *ret is what the calling thread has to serve then, or NULL.
 */
static int greet(struct acceptor *a, struct arrival *arrival, struct recv_channel **ret,
                 struct error *err)
{
    struct channel *c = arrival->channel;
    uint8_t magic[MAGIC_LEN];
    struct multifd_hello hello;
    enum kind kind;
    int rc = first_word(a, &c, magic, &kind, err);

    *ret = NULL;
    if (rc == 0 && kind == KIND_MULTIFD && is_left_over(a, arrival, c)) {
        err_set(err, ERR_PEER, "a multifd channel of a source that has gone");
        kind = KIND_STRANGER;
    }
    if (rc == 0 && kind == KIND_MAIN && greet_main(a, arrival, c, &kind, err) < 0)
        rc = kind == KIND_STRANGER ? 0 : -1;
    if (rc == 0 && kind == KIND_STRANGER) {
        send_away(a, arrival, c, err);
        return 0;
    }
    if (rc == 0 && kind == KIND_MULTIFD) {
        rc = greet_multifd(a, c, magic, &hello, err);
        if (rc == 0)
            rc = join(a, arrival, &c, &hello, ret, err);
    }
    if (rc == 0)
        return 0;
    pthread_mutex_lock(&a->group->lock);
    bool dismissed = !is_in_time(arrival); /* from here on no other thread touches the channel */
    pthread_mutex_unlock(&a->group->lock);
    channel_group_drop(a->group, c);
    return dismissed ? 0 : rc;
}

static void *arrival_main(void *arg)
{
    struct arrival *arrival = arg;
    struct acceptor *a = arrival->a;
    struct recv_channel *joined;
    struct error err;

    /* The group fails before the connection leaves the list: a thread that waits for that sees the
     * failure. */
    if (greet(a, arrival, &joined, &err) < 0) {
        if (arrival->peer[0])
            err_in(&err, "from %s", arrival->peer);
        channel_group_fail(a->group, &err);
    }
    pthread_mutex_lock(&a->group->lock);
    delist(a, arrival);
    pthread_mutex_unlock(&a->group->lock);
    free(arrival);
    if (joined)
        recv_pool_serve(a->config.pool, joined);
    connect_thread_done();
    pthread_mutex_lock(&a->group->lock);
    if (--a->living == 0 || a->crowded)
        pthread_cond_broadcast(&a->group->changed);
    pthread_mutex_unlock(&a->group->lock);
    return NULL;
}

/* Takes the channel. The thread is not joined: acceptor_end() waits until `living` is 0. */
static int spawn(struct acceptor *a, struct channel *c, struct error *err)
{
    struct arrival *arrival = calloc(1, sizeof(*arrival));

    if (!arrival) {
        channel_group_drop(a->group, c);
        return err_sys(err, "memory for a connection");
    }
    arrival->a = a;
    arrival->channel = c;
    transport_peer(c->fd, arrival->peer);
    pthread_mutex_lock(&a->group->lock);
    enlist(a, arrival);
    uint64_t number = arrival->number;
    pthread_mutex_unlock(&a->group->lock);
    if (thread_start_detached(&arrival->thread, arrival_main, arrival, err, "greet-%llu",
                              (unsigned long long)number) == 0)
        return 0;
    pthread_mutex_lock(&a->group->lock);
    delist(a, arrival);
    a->living--;
    pthread_mutex_unlock(&a->group->lock);
    free(arrival);
    channel_group_drop(a->group, c);
    return -1;
}

/*
 * Waits until there are fewer than `most` connections. Dismisses those that have not said yet what
 * they are, the oldest first. False: there are no more of these, or the group has failed or is
 * closed.
 */
static bool make_room(struct acceptor *a, size_t most)
{
    pthread_mutex_lock(&a->group->lock);
    bool can = true;
    a->crowded = true;
    while (a->living >= most && can) {
        can = !a->group->failed && !a->group->closed && dismiss_oldest(a);
        for (size_t before = a->living; can && a->living >= before;)
            channel_group_wait(a->group, DEADLINE_NEVER);
    }
    a->crowded = false;
    pthread_mutex_unlock(&a->group->lock);
    return can;
}

/* Accepts one connection. Where that fails for want of descriptors or memory, dismisses others
 * first. */
static int accept_one(struct acceptor *a, struct channel **ret, struct error *err)
{
    if (!make_room(a, CONNECTIONS_MAX))
        return err_set(err, ERR_PEER, "more than %d connections", CONNECTIONS_MAX);
    while (connect_accept(a->config.connect, &a->listener, a->group, ret, err) < 0) {
        bool scarce = err->sys == EMFILE || err->sys == ENFILE || err->sys == ENOBUFS;

        pthread_mutex_lock(&a->group->lock);
        size_t living = a->living;
        if (scarce && a->scarce.kind == ERR_NONE)
            a->scarce = *err;
        pthread_mutex_unlock(&a->group->lock);
        if (!scarce || !make_room(a, living))
            return -1;
    }
    return *ret ? spawn(a, *ret, err) : 0;
}

static bool is_enough(struct acceptor *a)
{
    pthread_mutex_lock(&a->group->lock);
    bool enough = a->enough;
    pthread_mutex_unlock(&a->group->lock);
    return enough;
}

/* Accepts every connection that waits now, but no more than CONNECTIONS_MAX, because more may keep
 * coming. Any thread. */
static int accept_waiting(struct acceptor *a, struct error *err)
{
    struct channel *c = NULL;
    int rc = 0, n = 0;

    pthread_mutex_lock(&a->accept_lock);
    do {
        if (is_enough(a))
            break;
        rc = accept_one(a, &c, err);
    } while (rc == 0 && c && ++n < CONNECTIONS_MAX);
    pthread_mutex_unlock(&a->accept_lock);
    return rc;
}

/* --- the acceptor ---------------------------------------------------------------------------- */

/* Under the lock. The next deadline of a connection or of main. */
static uint64_t next_deadline(const struct acceptor *a)
{
    uint64_t next = a->settling ? DEADLINE_NEVER : a->main_deadline;

    for (const struct arrival *i = a->oldest; i; i = i->newer) {
        if (!i->dismissed && !i->known)
            next = MIN(next, i->deadline);
    }
    return next;
}

/*
 * Returns 1 when a connection waits, main is closed while acceptor_settle() runs, a deadline has
 * passed, or wake_acceptor() was called; 0 when the group is cancelled.
 */
static int sleep_a_while(struct acceptor *a, struct error *err)
{
    struct pollfd p[LISTENER_MAX + 3] = {{.fd = a->group->cancel.fd, .events = POLLIN},
                                         {.fd = a->wake, .events = POLLIN}};
    struct pollfd *main = &p[a->listener.n + 2];
    eventfd_t ignored;
    int n;

    pthread_mutex_lock(&a->group->lock);
    for (size_t i = 0; i < a->listener.n; i++)
        p[i + 2] = (struct pollfd){.fd = a->enough ? -1 : a->listener.fds[i], .events = POLLIN};
    uint64_t deadline = next_deadline(a);
    bool watched = a->settling && !a->main_over;
    *main = (struct pollfd){.fd = watched ? a->main->fd : -1, .events = POLLRDHUP};
    pthread_mutex_unlock(&a->group->lock);
    do {
        n = poll(p, a->listener.n + 3, deadline_poll_ms(deadline));
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, "wait for connections at %s", a->listener.text);
    if (p[1].revents)
        (void)!eventfd_read(a->wake, &ignored);
    if (main->revents) {
        pthread_mutex_lock(&a->group->lock);
        a->main_over = true;
        pthread_mutex_unlock(&a->group->lock);
    }
    return !p[0].revents;
}

/*
 * Dismisses connections that have run out of time before they said what they are; where main has,
 * fails. Called when all connections are accepted that came before main was closed.
 */
static int check_deadlines(struct acceptor *a, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&a->group->lock);
    dismiss_late(a);
    if (a->main_over && !a->left && !awaits_channel(a, a->accepted)) {
        a->left = true;
        pthread_cond_broadcast(&a->group->changed);
    }
    if (a->main_deadline <= clock_ns() && !a->settling)
        rc = err_set_with(err, ERR_PEER, REMEDY_CONNECT_TIMEOUT,
                          "main channel: no list of RAM blocks within %.1f s",
                          (double)a->config.connect->connect_timeout_ms / 1000);
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}

static void *acceptor_main(void *arg)
{
    struct acceptor *a = arg;
    struct error err;
    int rc;

    while ((rc = sleep_a_while(a, &err)) > 0) {
        if (accept_waiting(a, &err) < 0 || check_deadlines(a, &err) < 0) {
            rc = -1;
            break;
        }
    }
    if (rc < 0)
        channel_group_fail(a->group, &err);
    return NULL;
}

int acceptor_new(const struct acceptor_config *config, struct acceptor **ret, struct error *err)
{
    struct acceptor *a = calloc(1, sizeof(*a));

    if (!a)
        return err_sys(err, "memory for connections");
    a->config = *config;
    a->group = config->group;
    a->main_deadline = DEADLINE_NEVER;
    pthread_mutex_init(&a->accept_lock, NULL);
    a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->wake < 0) {
        err_sys(err, "eventfd for connections");
        acceptor_free(a);
        return -1;
    }
    if (connect_listen(config->connect, a->group, &a->listener, err) < 0) {
        acceptor_free(a);
        return -1;
    }
    *ret = a;
    return 0;
}

const char *acceptor_address(const struct acceptor *a)
{
    return a->listener.text;
}

int acceptor_start(struct acceptor *a, struct error *err)
{
    return thread_start(&a->acceptor, acceptor_main, a, err, "accept");
}

/* Under the lock. Adds what was refused or dropped: it may be what is missing now. */
static void name_stranger(const struct acceptor *a, struct error *err)
{
    if (a->n_refused > 0)
        err_add(err, "; refused meanwhile: %.200s", a->refused.text);
    if (a->scarce.kind != ERR_NONE)
        err_add(err, "; dropped meanwhile: %.250s", a->scarce.text);
}

/* A source connects main together with the channels: once one of them has come, the wait for main
 * has a limit. */
static uint64_t main_deadline(const struct acceptor *a, uint64_t before)
{
    bool now = before == DEADLINE_NEVER && (a->begun || !a->config.main_any_time);

    return now ? deadline_in_ms(a->config.connect->connect_timeout_ms) : before;
}

/* Under the lock. A source was there and has closed all its channels, and no connection is left
 * that could be main. */
static bool is_abandoned(const struct acceptor *a)
{
    return !a->oldest && recv_pool_is_abandoned(a->config.pool);
}

int acceptor_await_main(struct acceptor *a, struct channel **ret, struct error *err)
{
    uint64_t timeout_ms = a->config.connect->connect_timeout_ms, deadline = DEADLINE_NEVER;
    bool in_time = true;
    int rc = 0;

    pthread_mutex_lock(&a->group->lock);
    while (!a->main && !a->group->failed && !is_abandoned(a) && in_time) {
        deadline = main_deadline(a, deadline);
        in_time = channel_group_wait(a->group, deadline);
    }
    if (a->group->failed) {
        name_stranger(a, &a->group->err);
        *err = a->group->err;
        rc = -1;
    } else if (!a->main && in_time) {
        rc = err_set(err, ERR_PEER,
                     "%s: multifd channels connected and were closed, but there is no main "
                     "connection",
                     a->listener.text);
        name_stranger(a, err);
    } else if (!a->main) {
        rc = err_set_with(err, ERR_PEER, REMEDY_CONNECT_TIMEOUT,
                          "%s: no main connection within %.1f s%s", a->listener.text,
                          (double)timeout_ms / 1000,
                          a->begun ? ", though multifd channels connected" : "");
        name_stranger(a, err);
    } else {
        *ret = a->main;
        a->main_taken = true;
    }
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}

void acceptor_proven(struct acceptor *a)
{
    pthread_mutex_lock(&a->group->lock);
    a->main_deadline = DEADLINE_NEVER;
    pthread_mutex_unlock(&a->group->lock);
}

/*
 * Waits until every connection that may be a channel of the source has said so, or its time is
 * over. Does not wait where all channels that were agreed are there.
 */
static int await_greetings(struct acceptor *a, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&a->group->lock);
    uint64_t newest = a->accepted;
    while (awaits_channel(a, newest) && !a->group->failed && !recv_pool_is_full(a->config.pool))
        channel_group_wait(a->group, DEADLINE_NEVER);
    if (a->group->failed) {
        *err = a->group->err;
        rc = -1;
    }
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}

/* While acceptor_settle() runs main is not read: that time does not count for main's deadline. */
static void set_settling(struct acceptor *a, bool settling)
{
    pthread_mutex_lock(&a->group->lock);
    a->settling = settling;
    if (a->main_deadline != DEADLINE_NEVER)
        a->main_deadline = deadline_in_ms(a->config.connect->connect_timeout_ms);
    wake_acceptor(a); /* it watches main meanwhile */
    pthread_mutex_unlock(&a->group->lock);
}

static int settle(struct acceptor *a, struct error *err)
{
    if (accept_waiting(a, err) < 0 || await_greetings(a, err) < 0)
        return -1;
    if (recv_pool_complete(a->config.pool, false, &a->left, err) == 0)
        return 0;
    pthread_mutex_lock(&a->group->lock);
    name_stranger(a, err);
    pthread_mutex_unlock(&a->group->lock);
    return -1;
}

int acceptor_settle(struct acceptor *a, struct error *err)
{
    set_settling(a, true);
    int rc = settle(a, err);
    set_settling(a, false);
    return rc;
}

void acceptor_enough(struct acceptor *a)
{
    pthread_mutex_lock(&a->group->lock);
    a->enough = a->config.connect->listening != NULL;
    wake_acceptor(a);
    pthread_mutex_unlock(&a->group->lock);
}

int acceptor_check_complete(struct acceptor *a, bool expected, struct error *err)
{
    pthread_mutex_lock(&a->group->lock);
    bool doubtful = a->last_refused > a->main_number;
    pthread_mutex_unlock(&a->group->lock);
    if (!doubtful || recv_pool_check_numbers(a->config.pool, expected, err) == 0)
        return 0;
    pthread_mutex_lock(&a->group->lock);
    name_stranger(a, err);
    pthread_mutex_unlock(&a->group->lock);
    return -1;
}

void acceptor_end(struct acceptor *a)
{
    cancel_request(&a->group->cancel); /* ends the acceptor */
    thread_join(&a->acceptor);
    listener_done(&a->listener); /* closes the connections that have not been accepted */
    channel_group_close(a->group);
    pthread_mutex_lock(&a->group->lock);
    while (a->living > 0)
        channel_group_wait(a->group, DEADLINE_NEVER);
    pthread_mutex_unlock(&a->group->lock);
}

void acceptor_free(struct acceptor *a)
{
    if (!a)
        return;
    acceptor_end(a);
    if (!a->main_taken)
        channel_group_drop(a->group, a->main);
    pthread_mutex_destroy(&a->accept_lock);
    fd_close(&a->wake);
    free(a);
}
