#include "tls/tls_handshake.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/signature.h"
#include "transport/path.h"

/* RFC 8446, 5.5: AES-GCM permits 2^24.5 full records with one key. GnuTLS changes it here, too. */
#define RECORDS_PER_KEY (UINT64_C(1) << 24)

/* --- the handshake ---------------------------------------------------------------------------- */

static int doubt(struct error *err, const char *what)
{
    return err_set_with(err, ERR_PEER, REMEDY_TLS_BOTH_OR_NONE, "%.200s; it may not speak TLS",
                        what);
}

/* Lets the channel below wait at most until the deadline. */
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

/* If the peer is silent or closes the connection, it probably does not speak TLS. */
static int doubt_peer(struct error *err)
{
    struct error cause = *err;

    if (cause.kind != ERR_PEER && !tls_peer_has_gone(&cause))
        return -1;
    return doubt(err, cause.text);
}

/* In a handshake, a record starts with a type from 20 to 23 and a version whose first byte is 3. */
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
 * After a failed write we may still be able to read the reason: a peer that refuses our certificate
 * or key sends an alert and closes while we still write. True: *err holds that reason. From here on
 * nothing that OpenSSL writes is sent.
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

/* OpenSSL could not write to a client's socket, see ask_for_ktls(). `sys` is errno after that. */
static int explain_write(struct tls_channel *t, int sys, struct error *err)
{
    char byte;
    struct iovec iov = {&byte, 1};
    size_t len;

    /* An interrupt looks like a broken pipe: only the channel below knows the difference. */
    if (channel_recvv(t->below, &iov, 1, 1, CHANNEL_PEEK | CHANNEL_NOWAIT, &len, err) < 0 &&
        err->kind == ERR_CANCELLED)
        return -1;
    if (was_told_why(t, err))
        return -1;
    errno = sys;
    err_sys(err, "send");
    return doubt_peer(err);
}

/* The alert is sent to the peer only if that needs no waiting. */
static int refuse_peer(struct tls_channel *t, struct error *err)
{
    struct error ignored;

    tls_session_explain(&t->session, err);
    (void)!tls_state_flush(t, CHANNEL_NOWAIT, &ignored);
    return -1;
}

static int go_on(struct tls_channel *t, int want, bool first, struct error *err)
{
    int sys = errno;

    switch (want) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_WRITE:
        return tls_state_flush(t, 0, err) < 0 ? doubt_peer(err) : 0;
    case SSL_ERROR_WANT_READ:
        return tls_state_flush(t, 0, err) < 0 ? doubt_peer(err) : hear_peer(t, first, err);
    case SSL_ERROR_SYSCALL:
        return explain_write(t, sys, err);
    default:
        return refuse_peer(t, err);
    }
}

/* No other thread knows the channel yet, so this needs no locks. */
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
 * OpenSSL asks the kernel for kTLS once it has the key, but only through its own BIO for sockets.
 * So a client's handshake is written to the socket by OpenSSL; it may block there, as no other
 * thread uses the channel yet. Afterwards the kernel encrypts all that is sent on the channel
 * below; if it cannot, our own BIO takes over. We never ask for kTLS in the receiving direction:
 * OpenSSL reads ahead of the kernel, and the kernel returns records that are not data in a special
 * way: both would need another engine than the one below.
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
 * OpenSSL 3.0 answers a demand for a new key as soon as it reads it, and then uses the new key for
 * what it writes itself. But the kernel keeps the old key: the answer would announce a key that is
 * not used. So the answer is not sent, and the channel fails.
 */
static void watch_for_demand(int sent, int version, int type, const void *bytes, size_t len,
                             SSL *ssl, void *arg)
{
    const uint8_t *message = bytes;
    struct tls_channel *t = arg;
    BIO *memory = SSL_get_rbio(ssl);

    (void)version;
    /* The message has a type, a length of three bytes, and the demand. */
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

/* --- the whole -------------------------------------------------------------------------------- */

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

int tls_handshake(struct tls_channel *t, const struct tls_creds *creds, uint64_t deadline,
                  struct error *err)
{
    int rc = start(t, creds, err);

    if (rc == 0)
        rc = shake_hands(t, deadline, err);
    tls_state_pass_patience(t);
    if (rc < 0)
        return err_in(err, "TLS handshake");
    describe(t);
    settle_ktls(t);
    tls_state_count_sent(t);
    tls_state_count_received(t);
    t->handshake_bytes = atomic_load(&t->below->bytes_received);
    return 0;
}
