#include "tls/tls_channel.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "tls/tls_handshake.h"

static struct tls_channel *tls_of(struct channel *c)
{
    return (struct tls_channel *)c;
}

/* --- receiving -------------------------------------------------------------------------------- */

enum arrival {
    ARRIVED,
    BETWEEN_RECORDS, /* nothing of the next record has come */
    INSIDE_RECORD,   /* a part of it has come */
    CLOSED,          /* by close_notify */
    FAILED,          /* see recv_err */
};

/* Says why a read gave nothing; `rc` is its result. Under lock. */
static enum arrival arrival_of(struct tls_channel *t, int rc)
{
    SSL *ssl = t->session.ssl;

    switch (SSL_get_error(ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return SSL_has_pending(ssl) || strcmp(SSL_rstate_string(ssl), "RH") != 0 ? INSIDE_RECORD
                                                                                 : BETWEEN_RECORDS;
    case SSL_ERROR_ZERO_RETURN:
        return CLOSED;
    case SSL_ERROR_WANT_WRITE:
        err_set(&t->recv_err, ERR_PEER, "the peer demands more answers than it lets us send");
        break;
    default:
        t->base.refused = ERR_GET_REASON(ERR_peek_error()) > SSL_AD_REASON_OFFSET;
        tls_session_explain(&t->session, &t->recv_err);
    }
    t->recv_failed = true; /* kept, because OpenSSL reports an error only once */
    return FAILED;
}

/* Fails if the peer has demanded a new key, but only after all data was returned. Under lock. */
static enum arrival fail_if_key_demanded(struct tls_channel *t, enum arrival arrival)
{
    if (t->key_demanded && !t->recv_failed) {
        t->recv_failed = true;
        err_set(&t->recv_err, ERR_PEER,
                "the peer demands a new key, and the kernel, which encrypts what is sent here "
                "(kTLS), cannot change it");
    }
    return t->recv_failed && arrival != ARRIVED ? FAILED : arrival;
}

/* Decrypts what has come into iov, and advances iov. *ret_len may be 0. */
static enum arrival decrypt(struct tls_channel *t, struct iovec **iov, size_t *n, size_t *ret_len)
{
    enum arrival arrival = t->recv_failed ? FAILED : ARRIVED;
    size_t done = 0, len;

    pthread_mutex_lock(&t->lock);
    ERR_clear_error();
    while (*n > 0 && arrival == ARRIVED) {
        int rc = SSL_read_ex(t->session.ssl, (*iov)->iov_base, (*iov)->iov_len, &len);

        if (rc == 1) {
            done += len;
            *n = iov_advance(iov, *n, len);
        } else {
            arrival = arrival_of(t, rc);
        }
    }
    arrival = fail_if_key_demanded(t, arrival);
    pthread_mutex_unlock(&t->lock);
    *ret_len = done;
    return arrival;
}

/* Decrypts into iov[0] without consuming: the bytes can be received again. */
static enum arrival peek(struct tls_channel *t, const struct iovec *iov, size_t *ret_len)
{
    enum arrival arrival = t->recv_failed ? FAILED : ARRIVED;
    size_t len = 0;

    pthread_mutex_lock(&t->lock);
    ERR_clear_error();
    if (arrival == ARRIVED) {
        int rc = SSL_peek_ex(t->session.ssl, iov->iov_base, iov->iov_len, &len);

        if (rc != 1)
            arrival = arrival_of(t, rc);
    }
    arrival = fail_if_key_demanded(t, arrival);
    pthread_mutex_unlock(&t->lock);
    *ret_len = len;
    return arrival;
}

static bool nothing_since_handshake(const struct tls_channel *t)
{
    return atomic_load(&t->below->bytes_received) == t->handshake_bytes;
}

/* Some peers close without an alert when they refuse our certificate or key. */
static int perhaps_refused(const struct tls_channel *t, struct error *err)
{
    const struct tls_creds *c = t->session.creds;

    return err_set(err, ERR_PEER,
                   "the peer closed the connection right after the TLS handshake: it may have "
                   "refused %.200s: see its own message",
                   c->config.psk_file ? c->config.psk_file : c->cert_path);
}

/* The connection has ended without close_notify. 0: that is allowed here. */
static int judge_cut(struct tls_channel *t, enum arrival arrival, size_t missing, unsigned flags,
                     struct error *err)
{
    if (arrival == INSIDE_RECORD)
        return err_set(err, ERR_PEER, "the connection was cut inside a TLS record");
    if (!(flags & CHANNEL_MAY_IDLE) && nothing_since_handshake(t))
        return perhaps_refused(t, err);
    if (!(flags & CHANNEL_MAY_IDLE))
        return err_set(err, ERR_PEER,
                       "the connection was cut (no TLS close_notify), %zu more bytes expected",
                       missing);
    t->base.cut = true;
    return 0;
}

/* Waits when all that had come is decrypted. 1: more has come; 0: an end that is allowed here. */
static int await_more(struct tls_channel *t, enum arrival arrival, size_t missing, unsigned flags,
                      struct error *err)
{
    size_t len;

    if (arrival == FAILED) {
        *err = t->recv_err;
        return -1;
    }
    if (arrival == CLOSED && flags & CHANNEL_MAY_IDLE)
        return 0;
    if (arrival == CLOSED)
        return err_set(err, ERR_PEER, "the peer closed the connection, %zu more bytes expected",
                       missing);
    tls_state_pass_patience(t);
    t->below->recall = t->base.recall;
    int rc = tls_wire_fill(&t->wire, arrival == INSIDE_RECORD ? flags & ~CHANNEL_MAY_IDLE : flags,
                           &len, err);
    tls_state_count_received(t);
    if (rc < 0)
        return -1;
    return len > 0 ? 1 : judge_cut(t, arrival, missing, flags, err);
}

static int receive(struct tls_channel *t, struct iovec *iov, size_t n, size_t min, unsigned flags,
                   size_t *ret_len, struct error *err)
{
    size_t done = 0, len;

    n = iov_advance(&iov, n, 0);
    while (done < min && n > 0) {
        enum arrival arrival =
            flags & CHANNEL_PEEK ? peek(t, iov, &len) : decrypt(t, &iov, &n, &len);
        int more = 1;

        done += len;
        if (len == 0)
            more = await_more(t, arrival, min - done, done == 0 ? flags : flags & ~CHANNEL_MAY_IDLE,
                              err);
        if (more < 0)
            return -1;
        if (more == 0)
            break;
    }
    *ret_len = done;
    return 0;
}

static int tls_recvv(struct channel *c, struct iovec *iov, size_t n, size_t min, unsigned flags,
                     size_t *ret_len, struct error *err)
{
    struct tls_channel *t = tls_of(c);

    pthread_mutex_lock(&t->recv_lock);
    int rc = receive(t, iov, n, min, flags, ret_len, err);
    pthread_mutex_unlock(&t->recv_lock);
    return rc;
}

/* --- sending ---------------------------------------------------------------------------------- */

/*
 * The next piece to encrypt, of at most `room` records. If iov[0] fills at least one record, the
 * piece is used in place; else it is gathered from several iovs into one record. Advances iov.
 */
static struct iovec next_piece(struct tls_channel *t, struct iovec **iov, size_t *n, size_t room)
{
    struct iovec piece = {(*iov)->iov_base, MIN((*iov)->iov_len / TLS_RECORD, room) * TLS_RECORD};

    if (piece.iov_len > 0) {
        *n = iov_advance(iov, *n, piece.iov_len);
        return piece;
    }
    piece.iov_base = t->record;
    while (*n > 0 && piece.iov_len < TLS_RECORD) {
        size_t len = MIN((*iov)->iov_len, TLS_RECORD - piece.iov_len);

        memcpy(t->record + piece.iov_len, (*iov)->iov_base, len);
        piece.iov_len += len;
        *n = iov_advance(iov, *n, len);
    }
    return piece;
}

/* Changes the key if it is time: OpenSSL announces it to the peer before the next record. Under
 * lock. */
static int change_key_if_due(struct tls_channel *t)
{
    if (t->records < t->records_per_key)
        return 1;
    t->records = 0;
    return SSL_key_update(t->session.ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
}

/* Says why encrypting failed: if receiving has failed before, then for that reason. Under lock. */
static int explain_encrypt(struct tls_channel *t, struct error *err)
{
    if (!t->recv_failed)
        return tls_session_explain(&t->session, err);
    *err = t->recv_err;
    return -1;
}

/* Encrypts as much of iov as the wire takes. */
static int encrypt(struct tls_channel *t, struct iovec **iov, size_t *n, struct error *err)
{
    size_t room, written;
    int ok = 1, rc = 0;

    pthread_mutex_lock(&t->lock);
    ERR_clear_error();
    while (ok && *n > 0 && (room = tls_wire_room(&t->wire)) > 0) {
        struct iovec piece = next_piece(t, iov, n, room);

        t->records += (piece.iov_len + TLS_RECORD - 1) / TLS_RECORD;
        ok = SSL_write_ex(t->session.ssl, piece.iov_base, piece.iov_len, &written) &&
             change_key_if_due(t);
    }
    if (!ok)
        rc = explain_encrypt(t, err);
    pthread_mutex_unlock(&t->lock);
    return rc;
}

/*
 * A peer that refuses us sends an alert with the reason before it closes, and a thread that only
 * sends has not read it. Replaces *err by the alert's reason if there is one; consumes no data. If
 * another thread receives, that thread gets the alert. We do not wait for it: it may wait for ever,
 * as a local socket can be closed for sending and still open for receiving. Always -1.
 */
static int look_for_alert(struct tls_channel *t, struct error *err)
{
    enum arrival arrival;
    struct error ignored;
    size_t len = 0;
    char byte;
    struct iovec iov = {&byte, 1};

    if (pthread_mutex_trylock(&t->recv_lock) != 0)
        return -1;
    do {
        arrival = peek(t, &iov, &len);
    } while ((arrival == BETWEEN_RECORDS || arrival == INSIDE_RECORD) &&
             tls_wire_fill(&t->wire, CHANNEL_NOWAIT, &len, &ignored) == 0 && len > 0);
    if (t->recv_failed)
        *err = t->recv_err;
    else if (nothing_since_handshake(t))
        perhaps_refused(t, err);
    pthread_mutex_unlock(&t->recv_lock);
    return -1;
}

/* Fails if receiving has failed: the kernel would go on encrypting, although the two ends no longer
 * understand each other. */
static int check_received(struct tls_channel *t, struct error *err)
{
    pthread_mutex_lock(&t->lock);
    int rc = t->recv_failed ? -1 : 0;
    if (rc < 0)
        *err = t->recv_err;
    pthread_mutex_unlock(&t->lock);
    return rc;
}

/* The kernel makes records of what is written to the socket; see tls_handshake.c. */
static int send_by_kernel(struct tls_channel *t, struct iovec *iov, size_t n, unsigned flags,
                          struct error *err)
{
    if (check_received(t, err) < 0)
        return -1;
    int rc = channel_sendv(t->below, iov, n, flags & (CHANNEL_NOWAIT | CHANNEL_MORE), err);

    tls_state_count_sent(t);
    return rc < 0 && tls_peer_has_gone(err) ? look_for_alert(t, err) : rc;
}

static int send_all(struct tls_channel *t, struct iovec *iov, size_t n, unsigned flags,
                    struct error *err)
{
    tls_state_pass_patience(t);
    if (t->security.by_kernel)
        return send_by_kernel(t, iov, n, flags, err);
    n = iov_advance(&iov, n, 0);
    while (n > 0) {
        if (encrypt(t, &iov, &n, err) < 0)
            return -1;
        if (tls_state_flush(t, n > 0 ? flags | CHANNEL_MORE : flags, err) < 0)
            return tls_peer_has_gone(err) ? look_for_alert(t, err) : -1;
    }
    return 0;
}

/* Encrypted bytes that were not sent are lost: the peer could not decrypt what follows them. */
static int give_up_sending(struct tls_channel *t, struct error *err)
{
    t->send_failed = true;
    t->send_err = *err;
    return -1;
}

/* On success send_lock is held, on failure it is not. */
static int begin_sending(struct tls_channel *t, unsigned flags, struct error *err)
{
    if (!(flags & CHANNEL_NOWAIT)) {
        pthread_mutex_lock(&t->send_lock);
    } else if (pthread_mutex_trylock(&t->send_lock) != 0) {
        errno = EAGAIN;
        return err_sys(err, "send");
    }
    if (!t->send_failed)
        return 0;
    *err = t->send_err;
    pthread_mutex_unlock(&t->send_lock);
    return -1;
}

static int tls_sendv(struct channel *c, struct iovec *iov, size_t n, unsigned flags,
                     struct error *err)
{
    struct tls_channel *t = tls_of(c);

    if (begin_sending(t, flags, err) < 0)
        return -1;
    int rc = send_all(t, iov, n, flags, err);
    if (rc < 0)
        give_up_sending(t, err);
    pthread_mutex_unlock(&t->send_lock);
    return rc;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* It may have to wait only with kTLS; then the socket's own timeout ends each try. */
static void write_close_notify(struct tls_channel *t)
{
    SSL *ssl = t->session.ssl;
    uint64_t deadline = deadline_in_ms(atomic_load(&t->base.stall_timeout_ms));
    int rc;

    pthread_mutex_lock(&t->lock);
    do {
        ERR_clear_error();
        rc = SSL_shutdown(ssl);
    } while (rc < 0 && SSL_get_error(ssl, rc) == SSL_ERROR_WANT_WRITE && clock_ns() < deadline);
    ERR_clear_error();
    pthread_mutex_unlock(&t->lock);
}

static int send_close(struct tls_channel *t, struct error *err)
{
    write_close_notify(t);
    tls_state_pass_patience(t);
    if (tls_state_flush(t, 0, err) < 0)
        return give_up_sending(t, err);
    if (t->base.fd >= 0)
        shutdown(t->base.fd, SHUT_WR);
    t->send_failed = true; /* later sends fail as on a socket that is shut down */
    errno = EPIPE;
    err_sys(&t->send_err, "send");
    return 0;
}

/* Reads and discards until the peer has closed. It does not decrypt: the data is not needed. */
static int await_close(struct tls_channel *t, struct error *err)
{
    uint64_t deadline = deadline_in_ms(atomic_load(&t->base.stall_timeout_ms));
    size_t len = 1;
    int rc = 0;

    while (rc == 0 && len > 0 && clock_ns() < deadline)
        rc = tls_wire_fill(&t->wire, 0, &len, err);
    tls_state_count_received(t);
    return rc;
}

/* It is no failure if the peer is slow, or has gone without waiting for our close_notify. */
static int forgive_peer(int rc, const struct error *err)
{
    return rc < 0 && err->kind == ERR_CANCELLED ? -1 : 0;
}

static int tls_finish(struct channel *c, struct error *err)
{
    struct tls_channel *t = tls_of(c);

    if (begin_sending(t, 0, err) < 0)
        return -1;
    int rc = send_close(t, err);
    pthread_mutex_unlock(&t->send_lock);
    if (rc == 0 && pthread_mutex_trylock(&t->recv_lock) == 0) {
        rc = await_close(t, err);
        pthread_mutex_unlock(&t->recv_lock);
    }
    return forgive_peer(rc, err);
}

static struct channel_security tls_security(const struct channel *c)
{
    return ((const struct tls_channel *)c)->security;
}

static void tls_interrupt(struct channel *c)
{
    channel_interrupt(tls_of(c)->below);
}

static void tls_free(struct channel *c)
{
    struct channel *below = tls_of(c)->below;

    tls_state_free(tls_of(c));
    channel_free(below);
}

static const struct channel_ops tls_ops = {
    .name = "tls",
    .sendv = tls_sendv,
    .recvv = tls_recvv,
    .finish = tls_finish,
    .security = tls_security,
    .interrupt = tls_interrupt,
    .free = tls_free,
};

/* --- making ----------------------------------------------------------------------------------- */

int tls_channel_new(struct channel *below, const struct tls_creds *creds, uint64_t deadline,
                    struct channel **ret, struct error *err)
{
    struct tls_channel *t = tls_state_new(below);

    if (!t)
        return err_sys(err, "memory for a TLS channel");
    t->base.ops = &tls_ops;
    if (tls_handshake(t, creds, deadline, err) < 0) {
        tls_state_free(t);
        return -1;
    }
    t->base.rate_limit = below->rate_limit;
    below->rate_limit = NULL; /* else the same bytes would be limited twice */
    *ret = &t->base;
    return 0;
}
