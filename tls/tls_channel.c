/*
 * An SSL object is not for two threads at once, but a main connection has two: so every call on it
 * is made under `lock`, and nobody waits for the peer while holding that. See tls_wire.h for how
 * the bytes come and go.
 */
#include "tls/tls_channel.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/signature.h"
#include "tls/tls_session.h"
#include "tls/tls_wire.h"
#include "transport/path.h"

/* RFC 8446, 5.5: AES-GCM bears 2^24.5 full records with one key. GnuTLS changes it here, too. */
#define RECORDS_PER_KEY (UINT64_C(1) << 24)

struct tls_channel {
    struct channel base;

    /* Set before other threads see it, read-only after. */
    struct channel *below;
    uint64_t records_per_key; /* UINT64_MAX: TLS 1.2 cannot change it */
    uint64_t handshake_bytes; /* that had been received when it was over */
    struct channel_security security;
    uint64_t ktls_from; /* path_position() of the byte that is the first to be counted */

    /* Taken in this order. */
    pthread_mutex_t send_lock; /* whoever sends */
    pthread_mutex_t recv_lock; /* whoever receives */
    pthread_mutex_t lock;      /* whoever calls OpenSSL; only for as long as that takes */

    struct tls_session session; /* under lock */
    struct tls_wire wire;       /* see there */

    /* Under send_lock. */
    bool send_failed;
    struct error send_err;
    uint64_t records; /* sent with this key */
    uint8_t record[TLS_RECORD];

    /* Written under recv_lock and lock, read under either. */
    bool recv_failed;
    struct error recv_err;
    bool key_demanded; /* of a kernel that encrypts: see watch_for_demand(); under lock */
};

static struct tls_channel *tls_of(struct channel *c)
{
    return (struct tls_channel *)c;
}

/* Before anything below waits for the peer: as patient as we are told to be now. */
static void pass_patience(struct tls_channel *t)
{
    atomic_store(&t->below->stall_timeout_ms, atomic_load(&t->base.stall_timeout_ms));
    atomic_store(&t->below->may_rest, atomic_load(&t->base.may_rest));
}

/* A kernel that encrypts says how much that has become; below has only seen what it was. */
static void count_sent(struct tls_channel *t)
{
    uint64_t bytes = atomic_load(&t->below->bytes_sent);

    if (t->security.by_kernel) {
        if (!path_position(t->base.fd, &bytes))
            return; /* the next time */
        bytes -= t->ktls_from;
    }
    atomic_store_explicit(&t->base.bytes_sent, bytes, memory_order_relaxed);
}

static void count_received(struct tls_channel *t)
{
    atomic_store_explicit(&t->base.bytes_received, atomic_load(&t->below->bytes_received),
                          memory_order_relaxed);
}

/* --- receiving -------------------------------------------------------------------------------- */

enum arrival {
    ARRIVED,
    BETWEEN_RECORDS, /* nothing has come of the next */
    INSIDE_RECORD,   /* some of it */
    CLOSED,          /* close_notify */
    FAILED,          /* see recv_err */
};

/* After a read that gave nothing. Under lock. */
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
    t->recv_failed = true; /* kept, for OpenSSL says it only once */
    return FAILED;
}

/* What was read is handed out first. Under lock. */
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

/* Decrypts what has come into iov, which it advances; *ret_len bytes may be none. */
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

/* The same of the first byte, which stays. */
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

/* Some close without an alert when they do not like what they were shown. */
static int perhaps_refused(const struct tls_channel *t, struct error *err)
{
    const struct tls_creds *c = t->session.creds;

    return err_set(err, ERR_PEER,
                   "the peer closed the connection right after the TLS handshake: it may have "
                   "refused %.200s: see what it says itself",
                   c->config.psk_file ? c->config.psk_file : c->cert_path);
}

/* The connection has ended without a word. 0 where that may be. */
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

/* All that had come is decrypted: 1 when more has come, 0 at an end that may be, -1 at others. */
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
    pass_patience(t);
    int rc = tls_wire_fill(&t->wire, arrival == INSIDE_RECORD ? flags & ~CHANNEL_MAY_IDLE : flags,
                           &len, err);
    count_received(t);
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
 * The next piece to encrypt, of at most `room` records: as it lies where it fills at least one,
 * else gathered from several. Advances iov.
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

/* The next record will be preceded by the word that a new key follows. Under lock. */
static int change_key_if_due(struct tls_channel *t)
{
    if (t->records < t->records_per_key)
        return 1;
    t->records = 0;
    return SSL_key_update(t->session.ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
}

/* Why nothing can be encrypted: mostly for what the receiver has met. Under lock. */
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

/* Sends what is encrypted. */
static int flush(struct tls_channel *t, unsigned flags, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&t->lock);
    struct iovec iov = tls_wire_take(&t->wire);
    pthread_mutex_unlock(&t->lock);
    if (iov.iov_len > 0 && !t->security.by_kernel) /* the kernel would encrypt it once more */
        rc = channel_sendv(t->below, &iov, 1, flags & (CHANNEL_NOWAIT | CHANNEL_MORE), err);
    count_sent(t);
    pthread_mutex_lock(&t->lock);
    tls_wire_taken_is_sent(&t->wire);
    pthread_mutex_unlock(&t->lock);
    return rc;
}

static bool peer_has_gone(const struct error *err)
{
    return err->kind == ERR_SYSTEM && (err->sys == EPIPE || err->sys == ECONNRESET);
}

/*
 * A peer that refuses us says why in an alert before it closes, and a thread that only sends has
 * not read it. Replaces *err by that where there is one; leaves data where it is. Where another
 * thread receives, that one will be told, and may be waiting for ever here: a socket of the host
 * can be closed for us and open for it. Always -1.
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

/* The kernel would go on encrypting, though the two ends no longer understand each other. */
static int check_received(struct tls_channel *t, struct error *err)
{
    pthread_mutex_lock(&t->lock);
    int rc = t->recv_failed ? -1 : 0;
    if (rc < 0)
        *err = t->recv_err;
    pthread_mutex_unlock(&t->lock);
    return rc;
}

/* What is written to the socket leaves as records; see ask_for_ktls(). */
static int send_by_kernel(struct tls_channel *t, struct iovec *iov, size_t n, unsigned flags,
                          struct error *err)
{
    if (check_received(t, err) < 0)
        return -1;
    int rc = channel_sendv(t->below, iov, n, flags & (CHANNEL_NOWAIT | CHANNEL_MORE), err);

    count_sent(t);
    return rc < 0 && peer_has_gone(err) ? look_for_alert(t, err) : rc;
}

static int send_all(struct tls_channel *t, struct iovec *iov, size_t n, unsigned flags,
                    struct error *err)
{
    pass_patience(t);
    if (t->security.by_kernel)
        return send_by_kernel(t, iov, n, flags, err);
    n = iov_advance(&iov, n, 0);
    while (n > 0) {
        if (encrypt(t, &iov, &n, err) < 0)
            return -1;
        if (flush(t, n > 0 ? flags | CHANNEL_MORE : flags, err) < 0)
            return peer_has_gone(err) ? look_for_alert(t, err) : -1;
    }
    return 0;
}

/* Whatever was encrypted and not sent is lost: the peer could make no sense of what follows. */
static int give_up_sending(struct tls_channel *t, struct error *err)
{
    t->send_failed = true;
    t->send_err = *err;
    return -1;
}

/* Takes send_lock, but not on failure. */
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

/* Only with kTLS it may have to wait, and then the socket's own timeout ends each try. */
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

static int say_goodbye(struct tls_channel *t, struct error *err)
{
    write_close_notify(t);
    pass_patience(t);
    if (flush(t, 0, err) < 0)
        return give_up_sending(t, err);
    if (t->base.fd >= 0)
        shutdown(t->base.fd, SHUT_WR);
    t->send_failed = true; /* as on a socket from here on */
    errno = EPIPE;
    err_sys(&t->send_err, "send");
    return 0;
}

/* Reads and discards until the peer has closed, as it came: nobody wants it any more. */
static int await_close(struct tls_channel *t, struct error *err)
{
    uint64_t deadline = deadline_in_ms(atomic_load(&t->base.stall_timeout_ms));
    size_t len = 1;
    int rc = 0;

    while (rc == 0 && len > 0 && clock_ns() < deadline)
        rc = tls_wire_fill(&t->wire, 0, &len, err);
    count_received(t);
    return rc;
}

/* That the peer is slow, or has gone without waiting for our goodbye, changes nothing any more. */
static int forgive_peer(int rc, const struct error *err)
{
    return rc < 0 && err->kind == ERR_CANCELLED ? -1 : 0;
}

static int tls_finish(struct channel *c, struct error *err)
{
    struct tls_channel *t = tls_of(c);

    if (begin_sending(t, 0, err) < 0)
        return -1;
    int rc = say_goodbye(t, err);
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

/* All but the channel below. */
static void discard(struct tls_channel *t)
{
    tls_session_done(&t->session);
    tls_wire_done(&t->wire);
    pthread_mutex_destroy(&t->send_lock);
    pthread_mutex_destroy(&t->recv_lock);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static void tls_free(struct channel *c)
{
    struct channel *below = tls_of(c)->below;

    discard(tls_of(c));
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

/* --- the handshake ---------------------------------------------------------------------------- */

static int doubt(struct error *err, const char *what)
{
    return err_set_with(err, ERR_PEER, REMEDY_TLS_BOTH_OR_NONE, "%.200s; it may not speak TLS",
                        what);
}

/* While the handshake waits, below is as patient as the deadline allows. */
static int limit_patience(struct tls_channel *t, uint64_t deadline, struct error *err)
{
    uint64_t limit = atomic_load(&t->base.stall_timeout_ms);
    int left = deadline_poll_ms(deadline);

    if (left == 0)
        return atomic_load(&t->below->bytes_received)
                   ? err_set(err, ERR_PEER, "the peer took too long")
                   : doubt(err, "the peer was silent");
    if (left > 0)
        limit = limit ? MIN(limit, (uint64_t)left) : (uint64_t)left;
    atomic_store(&t->below->stall_timeout_ms, limit);
    return 0;
}

/* Silence and a slammed door have one likely cause. */
static int doubt_peer(struct error *err)
{
    struct error cause = *err;

    if (cause.kind != ERR_PEER && !peer_has_gone(&cause))
        return -1;
    return doubt(err, cause.text);
}

/* A record starts with its type, 20 to 23 in a handshake, and a version whose first byte is 3. */
static int check_is_tls(const struct tls_config *config, const uint8_t *bytes, size_t len,
                        struct error *err)
{
    const char *plain = config->name_plain ? config->name_plain(bytes, len) : NULL;
    char hex[9] = "", name[SIGNATURE_TEXT_LEN];

    if (bytes[0] >= 20 && bytes[0] <= 23 && (len < 2 || bytes[1] == 3))
        return 0;
    if (signature_name(bytes, len, SIGNATURE_PEER, name))
        return err_set_with(err, ERR_PEER, signature_remedy(bytes, len, SIGNATURE_PEER),
                            "the peer does not speak TLS: expected a handshake, %s", name);
    for (size_t i = 0; i < MIN(len, 4); i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return err_set_with(err, ERR_PEER, REMEDY_TLS_BOTH_OR_NONE,
                        "the peer does not speak TLS: it starts with 0x%s%s%s", hex,
                        plain ? ", " : "", plain ? plain : "");
}

static int hear_peer(struct tls_channel *t, bool first, struct error *err)
{
    size_t len;

    if (tls_wire_fill(&t->wire, 0, &len, err) < 0)
        return doubt_peer(err);
    if (len == 0)
        return doubt(err, "the peer closed the connection");
    return first ? check_is_tls(&t->session.creds->config, t->wire.in, len, err) : 0;
}

/*
 * Who could not write on may still be able to read why: a peer that refuses what it is shown says
 * so and goes, while we still write. What is left to be written goes nowhere from here on.
 */
static bool was_told_why(struct tls_channel *t, struct error *err)
{
    SSL *ssl = t->session.ssl;
    BIO *memory = SSL_get_rbio(ssl);
    struct error ignored;
    size_t len;
    char byte;

    if (tls_wire_fill(&t->wire, CHANNEL_NOWAIT, &len, &ignored) < 0 || len == 0)
        return false;
    BIO_up_ref(memory);
    SSL_set0_wbio(ssl, memory);
    ERR_clear_error();
    int rc = SSL_do_handshake(ssl);
    if (rc == 1)
        rc = SSL_peek(ssl, &byte, 1);
    if (SSL_get_error(ssl, rc) != SSL_ERROR_SSL)
        return false;
    tls_session_explain(&t->session, err);
    return true;
}

/* A client writes to the socket itself: see ask_for_ktls(). `sys` is errno after that. */
static int explain_write(struct tls_channel *t, int sys, struct error *err)
{
    char byte;
    struct iovec iov = {&byte, 1};
    size_t len;

    /* An interrupt looks like a broken pipe, and only the channel below knows. */
    if (channel_recvv(t->below, &iov, 1, 1, CHANNEL_PEEK | CHANNEL_NOWAIT, &len, err) < 0 &&
        err->kind == ERR_CANCELLED)
        return -1;
    if (was_told_why(t, err))
        return -1;
    errno = sys;
    err_sys(err, "send");
    return doubt_peer(err);
}

/* The peer is told, if it takes that at once. */
static int refuse_peer(struct tls_channel *t, struct error *err)
{
    struct error ignored;

    tls_session_explain(&t->session, err);
    (void)!flush(t, CHANNEL_NOWAIT, &ignored);
    return -1;
}

static int go_on(struct tls_channel *t, int want, bool first, struct error *err)
{
    int sys = errno;

    switch (want) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_WRITE:
        return flush(t, 0, err) < 0 ? doubt_peer(err) : 0;
    case SSL_ERROR_WANT_READ:
        return flush(t, 0, err) < 0 ? doubt_peer(err) : hear_peer(t, first, err);
    case SSL_ERROR_SYSCALL:
        return explain_write(t, sys, err);
    default:
        return refuse_peer(t, err);
    }
}

/* Nobody else knows of the channel yet: no locks. */
static int shake_hands(struct tls_channel *t, uint64_t deadline, struct error *err)
{
    SSL *ssl = t->session.ssl;
    int want;

    do {
        bool first = atomic_load(&t->below->bytes_received) == 0;

        if (limit_patience(t, deadline, err) < 0)
            return -1;
        ERR_clear_error();
        want = SSL_get_error(ssl, SSL_do_handshake(ssl));
        if (go_on(t, want, first, err) < 0)
            return -1;
    } while (want != SSL_ERROR_NONE);
    return 0;
}

/* --- kTLS ------------------------------------------------------------------------------------- */

/*
 * The library asks the kernel for kTLS through a BIO of its own for sockets, once it has the key.
 * So a client writes its handshake to the socket, blocking as that is, for nobody else waits yet.
 * Afterwards the kernel encrypts whatever is sent on the channel below, or, where it cannot, our
 * own BIO takes over. We never ask for receiving: what the library reads ahead of the kernel, and
 * the kernel's ways with records that are no data, would need another engine than the one below.
 */
static BIO *ask_for_ktls(struct tls_channel *t)
{
    const struct tls_config *config = &t->session.creds->config;

    if (config->server || config->no_ktls || t->base.fd < 0 ||
        !path_position(t->base.fd, &t->ktls_from))
        return NULL;
    t->ktls_from -= atomic_load(&t->below->bytes_sent);
    SSL_set_options(t->session.ssl, SSL_OP_ENABLE_KTLS);
    return BIO_new_socket(t->base.fd, BIO_NOCLOSE);
}

static void set_bios(struct tls_channel *t, BIO *memory)
{
    BIO *socket = ask_for_ktls(t);

    if (!socket)
        BIO_up_ref(memory);
    SSL_set0_rbio(t->session.ssl, memory);
    SSL_set0_wbio(t->session.ssl, socket ? socket : memory);
}

/*
 * OpenSSL 3.0 answers a demand for a new key as soon as it reads it, and takes the new key for what
 * it writes itself, while the kernel stays with the old one: the peer would be told of a key that
 * nobody uses. So its answer goes nowhere, and the channel fails.
 */
static void watch_for_demand(int sent, int version, int type, const void *bytes, size_t len,
                             SSL *ssl, void *arg)
{
    const uint8_t *message = bytes;
    struct tls_channel *t = arg;
    BIO *memory = SSL_get_rbio(ssl);

    (void)version;
    /* Type, a length of three bytes, the demand. */
    if (sent || type != SSL3_RT_HANDSHAKE || len != 5 || message[0] != SSL3_MT_KEY_UPDATE ||
        message[4] != SSL_KEY_UPDATE_REQUESTED)
        return;
    t->key_demanded = true;
    BIO_up_ref(memory);
    SSL_set0_wbio(ssl, memory);
}

static void settle_ktls(struct tls_channel *t)
{
    SSL *ssl = t->session.ssl;
    BIO *memory = SSL_get_rbio(ssl), *writing = SSL_get_wbio(ssl);

    if (writing == memory)
        return;
    atomic_fetch_add(&t->below->bytes_sent, BIO_number_written(writing));
    t->security.by_kernel = BIO_get_ktls_send(writing);
    if (t->security.by_kernel) {
        SSL_set_msg_callback(ssl, watch_for_demand);
        SSL_set_msg_callback_arg(ssl, t);
    } else {
        BIO_up_ref(memory);
        SSL_set0_wbio(ssl, memory);
    }
}

/* --- making ----------------------------------------------------------------------------------- */

static struct tls_channel *make(struct channel *below)
{
    struct tls_channel *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->base.ops = &tls_ops;
    t->base.fd = below->fd;
    t->base.local = below->local;
    t->base.below = below;
    atomic_init(&t->base.stall_timeout_ms, atomic_load(&below->stall_timeout_ms));
    t->below = below;
    pthread_mutex_init(&t->send_lock, NULL);
    pthread_mutex_init(&t->recv_lock, NULL);
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

static int start(struct tls_channel *t, const struct tls_creds *creds, struct error *err)
{
    BIO *bio;

    if (tls_session_init(&t->session, creds, err) < 0 ||
        tls_wire_init(&t->wire, t->below, &bio, err) < 0)
        return -1;
    set_bios(t, bio);
    return 0;
}

static void describe(struct tls_channel *t)
{
    SSL *ssl = t->session.ssl;
    uint64_t limit = t->session.creds->config.rekey_records;

    t->security.version = SSL_get_version(ssl);
    t->security.cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl));
    t->records_per_key = SSL_version(ssl) < TLS1_3_VERSION ? UINT64_MAX
                         : limit                           ? limit
                                                           : RECORDS_PER_KEY;
}

int tls_channel_new(struct channel *below, const struct tls_creds *creds, uint64_t deadline,
                    struct channel **ret, struct error *err)
{
    struct tls_channel *t = make(below);

    if (!t)
        return err_sys(err, "memory for a TLS channel");
    int rc = start(t, creds, err);
    if (rc == 0)
        rc = shake_hands(t, deadline, err);
    pass_patience(t);
    if (rc < 0) {
        discard(t);
        return err_in(err, "TLS handshake");
    }
    describe(t);
    settle_ktls(t);
    count_sent(t);
    count_received(t);
    t->handshake_bytes = atomic_load(&below->bytes_received);
    t->base.throttle = below->throttle;
    below->throttle = NULL; /* or the same bytes would wait twice */
    *ret = &t->base;
    return 0;
}
