#include "migration/arrivals.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/signature.h"
#include "stream/stream_format.h"

#define MAGIC_LEN 4 /* what a connection's kind is told by */

#define REFUSALS_MS 200 /* that the first of several waits for the others */
#define ROOM_MS     100 /* until the next look whether there is room for a connection */

struct arrivals {
    /* Set before the threads start, read-only after. */
    struct arrivals_config config;
    struct channel_group *group;
    struct listener listener;

    pthread_mutex_t accept_lock; /* the listener: the acceptor's, and main's when it must know */
    pthread_t acceptor;
    bool acceptor_started;

    /* Under the group's lock. */
    struct channel *main;
    bool main_taken;      /* it is the caller's now */
    bool begun;           /* a multifd channel has come: a source is there */
    size_t living;        /* threads of connections */
    size_t greeting;      /* of them, those whose connection has not said yet what it is */
    size_t failing;       /* of those, who will end all when the others have had their word */
    struct error failure; /* of the first of these: the others' may only follow from it */
    struct error
        refused; /* a stranger's handshake that failed, for who waits in vain for a friend's */
};

/* What a connection's thread is given. */
struct arrival {
    struct arrivals *a;
    struct channel *channel;
    char peer[TRANSPORT_PEER_LEN];
};

static int first_bytes(struct channel *c, void *to, size_t len, const char *what, struct error *err)
{
    struct iovec iov = {to, len};
    size_t got;

    if (channel_recvv(c, &iov, 1, len, 0, &got, err) < 0)
        return err_in(err, "%s", what);
    return 0;
}

static int greet_main(struct arrivals *a, struct channel *c, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&a->group->lock);
    if (a->main)
        rc = err_set(err, ERR_PEER, "a second main connection, expected one");
    else
        a->main = c;
    pthread_cond_broadcast(&a->group->changed);
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}

static int greet_multifd(struct arrivals *a, struct channel *c, const uint8_t magic[MAGIC_LEN],
                         struct multifd_hello *ret, struct error *err)
{
    uint8_t bytes[MULTIFD_HELLO_LEN];

    if (a->config.n_channels == 0)
        return err_set(err, ERR_PEER, "a multifd connection, expected none (--channels 0)");
    memcpy(bytes, magic, MAGIC_LEN);
    if (first_bytes(c, bytes + MAGIC_LEN, sizeof(bytes) - MAGIC_LEN, "multifd hello", err) < 0 ||
        multifd_hello_decode(bytes, ret, err) < 0)
        return -1;
    if (a->config.uuid && uuid_expect(&ret->uuid, a->config.uuid, "multifd hello", err) < 0)
        return err_in(err, "channel %u", ret->id);
    return 0;
}

static int join(struct arrivals *a, struct channel *c, const struct multifd_hello *hello,
                struct recv_channel **ret, struct error *err)
{
    if (recv_pool_join(a->config.pool, c, hello, ret, err) < 0)
        return -1;
    pthread_mutex_lock(&a->group->lock);
    if (!a->begun)
        pthread_cond_broadcast(&a->group->changed);
    a->begun = true;
    pthread_mutex_unlock(&a->group->lock);
    return 0;
}

/* What has come behind the magic may tell more; it is not waited for. */
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
        return err_set(err, ERR_PEER, "connection: expected a migration, %s", name);
    return err_set(err, ERR_PEER,
                   "connection: magic 0x%08x, expected 0x%08x (main) or 0x%08x (multifd)", value,
                   STREAM_MAGIC, MULTIFD_MAGIC);
}

/*
 * Whoever fails the handshake is nobody we know. Until main has come it is most likely the source,
 * and wrongly set up: then that is the answer. Afterwards it must not end what goes on.
 */
static bool is_stranger(struct arrivals *a, const struct error *err)
{
    pthread_mutex_lock(&a->group->lock);
    bool stranger = a->main && err->kind != ERR_CANCELLED;
    if (stranger)
        a->refused = *err;
    pthread_mutex_unlock(&a->group->lock);
    return stranger;
}

/*
 * Finds out what the channel is by its first bytes, and hands it over; takes it in any case. *ret
 * is what the calling thread has to serve then, or NULL.
 */
static int greet(struct arrivals *a, struct channel *c, struct recv_channel **ret,
                 struct error *err)
{
    uint8_t magic[MAGIC_LEN];
    struct multifd_hello hello;
    uint32_t value = 0;
    int rc = connect_secure(a->config.connect, a->group, &c, err);

    *ret = NULL;
    if (rc < 0 && is_stranger(a, err)) {
        channel_group_drop(a->group, c);
        return 0;
    }
    if (rc == 0)
        rc = first_bytes(c, magic, sizeof(magic), "connection: first bytes", err);
    if (rc == 0) {
        struct reader r = reader_of(magic, sizeof(magic));

        value = get_u32(&r);
    }
    if (rc == 0 && value == MULTIFD_MAGIC) {
        rc = greet_multifd(a, c, magic, &hello, err);
        if (rc == 0)
            return join(a, c, &hello, ret, err);
    } else if (rc == 0 && value == STREAM_MAGIC) {
        rc = greet_main(a, c, err);
        if (rc == 0)
            return 0;
    } else if (rc == 0) {
        rc = unknown_magic(c, magic, value, err);
    } else if (atomic_load(&c->bytes_received) == 0 && !a->listener.single &&
               err->kind != ERR_CANCELLED) {
        rc = 0; /* ended without a word: nobody's channel, but a port scan or a health check */
    }
    channel_group_drop(a->group, c);
    return rc;
}

/*
 * A source that is refused under TLS is so on each of its connections, and what it is told on main
 * is what it listens to. The first to fail ends all: it lets the others say their word before that.
 */
static void let_others_refuse(struct arrivals *a, struct error *err)
{
    uint64_t deadline = deadline_in_ms(REFUSALS_MS);
    bool in_time = true;

    if (!a->config.connect->tls || err->kind == ERR_CANCELLED)
        return;
    pthread_mutex_lock(&a->group->lock);
    if (a->failing++ == 0)
        a->failure = *err;
    pthread_cond_broadcast(&a->group->changed);
    while (a->greeting > a->failing && !a->group->failed && in_time)
        in_time = channel_group_wait(a->group, deadline);
    *err = a->failure;
    pthread_mutex_unlock(&a->group->lock);
}

static void *arrival_main(void *arg)
{
    struct arrival arrival = *(struct arrival *)arg;
    struct arrivals *a = arrival.a;
    struct recv_channel *joined;
    struct error err;

    free(arg);
    /* The failure is known before the greeting is over: who waits for the one sees the other. */
    if (greet(a, arrival.channel, &joined, &err) < 0) {
        if (arrival.peer[0])
            err_in(&err, "from %s", arrival.peer);
        let_others_refuse(a, &err);
        channel_group_fail(a->group, &err);
    }
    pthread_mutex_lock(&a->group->lock);
    if (--a->greeting <= a->failing)
        pthread_cond_broadcast(&a->group->changed);
    pthread_mutex_unlock(&a->group->lock);
    if (joined)
        recv_pool_serve(a->config.pool, joined);
    connect_thread_done();
    pthread_mutex_lock(&a->group->lock);
    if (--a->living == 0)
        pthread_cond_broadcast(&a->group->changed);
    pthread_mutex_unlock(&a->group->lock);
    return NULL;
}

/* Counts a thread that is about to start, if there may be one more. */
static int reserve_thread(struct arrivals *a, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&a->group->lock);
    if (a->living == CHANNEL_GROUP_MAX) {
        rc = err_set(err, ERR_PEER,
                     "more than %d connections at once, %zu of them have not said what they are",
                     CHANNEL_GROUP_MAX, a->greeting);
    } else {
        a->living++;
        a->greeting++;
    }
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}

static void release_thread(struct arrivals *a)
{
    pthread_mutex_lock(&a->group->lock);
    a->living--;
    a->greeting--;
    pthread_mutex_unlock(&a->group->lock);
}

/* Nobody joins it: arrivals_end() counts. */
static int start_detached(void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &attr, arrival_main, arg);
    pthread_attr_destroy(&attr);
    return rc;
}

/* Takes the channel. */
static int spawn(struct arrivals *a, struct channel *c, struct error *err)
{
    struct arrival *arrival = malloc(sizeof(*arrival));

    if (!arrival) {
        channel_group_drop(a->group, c);
        return err_sys(err, "memory for a connection");
    }
    *arrival = (struct arrival){.a = a, .channel = c};
    transport_peer(c->fd, arrival->peer);
    if (reserve_thread(a, err) < 0) {
        free(arrival);
        channel_group_drop(a->group, c);
        return -1;
    }
    errno = start_detached(arrival);
    if (errno == 0)
        return 0;
    err_thread(err, "thread for a connection");
    release_thread(a);
    free(arrival);
    channel_group_drop(a->group, c);
    return -1;
}

/*
 * Takes every connection that is waiting now. Any thread. *ret_full: there is no room for more, and
 * those who come behind main under TLS are no reason to fail.
 */
static int accept_waiting(struct arrivals *a, bool *ret_full, struct error *err)
{
    struct channel *c = NULL;
    int rc;

    pthread_mutex_lock(&a->accept_lock);
    do {
        rc = connect_accept(a->config.connect, &a->listener, a->group, &c, err);
        if (rc == 0 && c)
            rc = spawn(a, c, err);
    } while (rc == 0 && c);
    pthread_mutex_unlock(&a->accept_lock);
    *ret_full = rc < 0 && a->config.connect->tls && is_stranger(a, err);
    return *ret_full ? 0 : rc;
}

/* Some of those who fill the room will go. */
static void await_room(struct arrivals *a)
{
    struct pollfd p = {.fd = a->group->cancel.fd, .events = POLLIN};

    poll(&p, 1, ROOM_MS);
}

/* Sleeps until a connection waits, 1, or the group is cancelled, 0. */
static int poll_listener(struct arrivals *a, struct error *err)
{
    struct pollfd p[LISTENER_MAX + 1] = {{.fd = a->group->cancel.fd, .events = POLLIN}};
    int n;

    for (size_t i = 0; i < a->listener.n; i++)
        p[i + 1] = (struct pollfd){.fd = a->listener.fds[i], .events = POLLIN};
    do {
        n = poll(p, a->listener.n + 1, -1);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, "wait for connections at %s", a->listener.text);
    return !p[0].revents;
}

static void *acceptor_main(void *arg)
{
    struct arrivals *a = arg;
    struct error err;
    bool full;
    int rc;

    while ((rc = poll_listener(a, &err)) > 0) {
        rc = accept_waiting(a, &full, &err);
        if (rc < 0 || a->listener.single)
            break;
        if (full)
            await_room(a);
    }
    if (rc < 0)
        channel_group_fail(a->group, &err);
    return NULL;
}

int arrivals_new(const struct arrivals_config *config, struct arrivals **ret, struct error *err)
{
    struct arrivals *a = calloc(1, sizeof(*a));

    if (!a)
        return err_sys(err, "memory for connections");
    a->config = *config;
    a->group = config->group;
    pthread_mutex_init(&a->accept_lock, NULL);
    if (connect_listen(config->connect, a->group, &a->listener, err) < 0) {
        arrivals_free(a);
        return -1;
    }
    *ret = a;
    return 0;
}

const char *arrivals_address(const struct arrivals *a)
{
    return a->listener.text;
}

int arrivals_start(struct arrivals *a, struct error *err)
{
    errno = pthread_create(&a->acceptor, NULL, acceptor_main, a);
    if (errno)
        return err_thread(err, "thread for connections");
    a->acceptor_started = true;
    return 0;
}

/* Main's first bytes follow the channels' at once: they are not waited for without end. */
static uint64_t main_deadline(const struct arrivals *a, uint64_t before)
{
    bool now = before == DEADLINE_NEVER && (a->begun || !a->config.main_any_time);

    return now ? deadline_in_ms(a->config.connect->connect_timeout_ms) : before;
}

int arrivals_await_main(struct arrivals *a, struct channel **ret, struct error *err)
{
    uint64_t timeout_ms = a->config.connect->connect_timeout_ms, deadline = DEADLINE_NEVER;
    bool in_time = true;
    int rc = 0;

    pthread_mutex_lock(&a->group->lock);
    while (!a->main && !a->group->failed && in_time) {
        deadline = main_deadline(a, deadline);
        in_time = channel_group_wait(a->group, deadline);
    }
    if (a->group->failed) {
        *err = a->group->err;
        rc = -1;
    } else if (!a->main) {
        rc = err_set(err, ERR_PEER, "%s: no main connection within %.1f s%s (--connect-timeout)",
                     a->listener.text, (double)timeout_ms / 1000,
                     a->begun ? ", though multifd channels came" : "");
    } else {
        *ret = a->main;
        a->main_taken = true;
    }
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}

/*
 * Who has not said what it is when the time is over, fails the migration: a channel of it may be
 * missing. Under TLS that may be any stranger: it goes on, and what is missing will be missed.
 */
static int await_greetings(struct arrivals *a, uint64_t patience_ms, struct error *err)
{
    uint64_t deadline = deadline_in_ms(patience_ms);
    bool in_time = true;
    int rc = 0;

    pthread_mutex_lock(&a->group->lock);
    while (a->greeting > 0 && !a->group->failed && in_time)
        in_time = channel_group_wait(a->group, deadline);
    if (a->group->failed) {
        *err = a->group->err;
        rc = -1;
    } else if (a->greeting > 0 && !a->config.connect->tls) {
        rc = err_set(err, ERR_PEER,
                     "connection: first bytes: incomplete after %.1f s, expected the stream's "
                     "magic or a multifd hello of 64 bytes",
                     (double)patience_ms / 1000);
    }
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}

/* A channel that is missing may be the one that was taken for a stranger's. */
static void name_stranger(struct arrivals *a, struct error *err)
{
    pthread_mutex_lock(&a->group->lock);
    if (a->refused.kind != ERR_NONE)
        err_add(err, "; refused meanwhile: %.200s", a->refused.text);
    pthread_mutex_unlock(&a->group->lock);
}

int arrivals_settle(struct arrivals *a, struct error *err)
{
    bool full;

    if (accept_waiting(a, &full, err) < 0 ||
        await_greetings(a, a->config.connect->connect_timeout_ms, err) < 0)
        return -1;
    if (recv_pool_complete(a->config.pool, a->config.n_channels > 0, err) == 0)
        return 0;
    name_stranger(a, err);
    return -1;
}

void arrivals_end(struct arrivals *a)
{
    cancel_request(&a->group->cancel); /* the acceptor */
    if (a->acceptor_started)
        pthread_join(a->acceptor, NULL);
    a->acceptor_started = false;
    listener_done(&a->listener); /* who still waits there is told: nobody will come for it */
    channel_group_close(a->group);
    pthread_mutex_lock(&a->group->lock);
    while (a->living > 0)
        channel_group_wait(a->group, DEADLINE_NEVER);
    pthread_mutex_unlock(&a->group->lock);
}

void arrivals_free(struct arrivals *a)
{
    if (!a)
        return;
    arrivals_end(a);
    if (!a->main_taken)
        channel_group_drop(a->group, a->main);
    pthread_mutex_destroy(&a->accept_lock);
    free(a);
}
