#include "migration/greet.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/signature.h"
#include "migration/arrivals.h"
#include "stream/stream_format.h"

#define MAGIC_LEN 4 /* bytes that tell what a connection is */

/* What a connection turned out to be. */
enum kind { KIND_MAIN, KIND_MULTIFD, KIND_STRANGER };

static int first_bytes(struct channel *c, void *to, size_t len, const char *what, struct error *err)
{
    struct iovec iov = {to, len};
    size_t got;

    if (channel_recvv(c, &iov, 1, len, 0, &got, err) < 0)
        return err_in(err, "%s", what);
    return 0;
}

/* *ret_kind becomes a stranger's if the connection is of another source, which may come again. */
static int greet_main(struct acceptor *a, struct arrival *arrival, struct channel *c,
                      enum kind *ret_kind, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&a->group->lock);
    if (!arrival_is_in_time(arrival)) {
        rc = -1;
    } else if (a->main) {
        rc = err_set(err, ERR_PEER, "a second main connection, expected one");
        if (a->config.connect->listening)
            *ret_kind = KIND_STRANGER;
    } else {
        a->main = c;
        a->main_number = arrival->number;
        a->main_deadline = deadline_in_ms(a->config.connect->connect_timeout_ms);
        acceptor_wake(a);
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
    bool in_time = arrival_is_in_time(arrival);
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
        arrivals_refuse(a, arrival, err);
    pthread_mutex_lock(&a->group->lock);
    arrivals_remove(a, arrival);
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
    bool dismissed =
        !arrival_is_in_time(arrival); /* from here on no other thread touches the channel */
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
    arrivals_remove(a, arrival);
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

int greet_start(struct acceptor *a, struct channel *c, struct error *err)
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
    arrivals_add(a, arrival);
    uint64_t number = arrival->number;
    pthread_mutex_unlock(&a->group->lock);
    if (thread_start_detached(&arrival->thread, arrival_main, arrival, err, "greet-%llu",
                              (unsigned long long)number) == 0)
        return 0;
    pthread_mutex_lock(&a->group->lock);
    arrivals_remove(a, arrival);
    a->living--;
    pthread_mutex_unlock(&a->group->lock);
    free(arrival);
    channel_group_drop(a->group, c);
    return -1;
}
