/* The bytes of a TLS channel, and every way in which it can end. */
#include "tls/tls_channel.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "tests/support/test.h"
#include "tests/support/tls_pair.h"
#include "tls/tls_session.h"

#define MIB (1U << 20)

static struct tls_creds *client, *server;
static struct tls_creds *plain; /* for the client; the kernel does not encrypt */

/* --- two ends, of ours and of another --------------------------------------------------------- */

static void free_pair(struct channel *pair[static 2])
{
    channel_free(pair[0]);
    channel_free(pair[1]);
}

static void client_version(int number)
{
    SSL_CTX_set_max_proto_version(client->ctx, number);
    SSL_CTX_set_max_proto_version(plain->ctx, number);
}

/* A server that is not ours: OpenSSL on a blocking socket, as its manual describes. */
struct raw_peer {
    SSL_CTX *ctx;
    int fd;
    SSL *ssl;
    bool ok; /* the handshake */
};

static void *raw_shake(void *arg)
{
    struct raw_peer *p = arg;

    p->ssl = SSL_new(p->ctx);
    SSL_set_fd(p->ssl, p->fd);
    p->ok = SSL_accept(p->ssl) == 1;
    return NULL;
}

/* Our channel as a client, and its raw server. */
static struct channel *client_and_raw(const struct tls_creds *creds, uint64_t stall_timeout_ms,
                                      struct raw_peer *ret)
{
    struct channel *c;
    struct error err;
    pthread_t thread;
    int fds[2];

    tcp_pair(fds);
    *ret = (struct raw_peer){.ctx = server->ctx, .fd = fds[1]};
    pthread_create(&thread, NULL, raw_shake, ret);
    int rc = tls_channel_new(fast_channel(fds[0], HANG_MS), creds, DEADLINE_NEVER, &c, &err);
    pthread_join(thread, NULL);
    OK(rc, err, "handshake");
    CHECK(ret->ok, "the server's handshake");
    atomic_store(&c->stall_timeout_ms, stall_timeout_ms);
    return c;
}

static struct channel *channel_and_raw(uint64_t stall_timeout_ms, struct raw_peer *ret)
{
    return client_and_raw(client, stall_timeout_ms, ret);
}

static void raw_close(struct raw_peer *p)
{
    SSL_free(p->ssl);
    close(p->fd);
}

/* --- transfers -------------------------------------------------------------------------------- */

/* Bytes that show their position. */
static void fill(uint8_t *bytes, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)((i * 2654435761U + seed) >> 11 ^ i >> 3);
}

/* Pieces of unusual sizes: none, single bytes, pages, more than a record, more than a buffer. */
static const size_t piece_lens[] = {1344, 4096, 0, 1, 16384, 16383, 16385, 700000, 3, 32768, 5};

#define PIECES 40

/* The next pieces of [at, len); returns the count. */
static size_t cut(uint8_t *bytes, size_t *at, size_t len, unsigned turn, struct iovec *iov)
{
    size_t n = 0;

    for (; n < PIECES && *at < len; n++) {
        size_t piece = MIN(piece_lens[(turn + n * 7) % ARRAY_LEN(piece_lens)], len - *at);

        iov[n] = (struct iovec){bytes + *at, piece};
        *at += piece;
    }
    return n;
}

struct transfer {
    struct channel *c;
    uint8_t *bytes;
    size_t len;
    unsigned turn;
    int rc;
    struct error err;
};

static void *send_all(void *arg)
{
    struct transfer *t = arg;
    struct iovec iov[PIECES];

    for (size_t at = 0; at < t->len && t->rc == 0;) {
        size_t n = cut(t->bytes, &at, t->len, t->turn++, iov);

        t->rc = channel_sendv(t->c, iov, n, 0, &t->err);
    }
    return NULL;
}

static void *receive_all(void *arg)
{
    struct transfer *t = arg;
    struct iovec iov[PIECES];
    size_t got;

    for (size_t at = 0; at < t->len && t->rc == 0;) {
        size_t from = at, n = cut(t->bytes, &at, t->len, t->turn++, iov);

        t->rc = channel_recvv(t->c, iov, n, at - from, 0, &got, &t->err);
    }
    return NULL;
}

/* One direction or both at once, each with a sender and a receiver of its own. */
static void carry(struct channel *pair[static 2], size_t len, int directions)
{
    struct transfer out[2], in[2];
    pthread_t threads[4];

    for (int i = 0; i < directions; i++) {
        out[i] = (struct transfer){.c = pair[i], .bytes = malloc(len), .len = len};
        in[i] = (struct transfer){.c = pair[!i], .bytes = malloc(len), .len = len, .turn = 3};
        fill(out[i].bytes, len, (uint32_t)i);
        pthread_create(&threads[2 * i], NULL, send_all, &out[i]);
        pthread_create(&threads[2 * i + 1], NULL, receive_all, &in[i]);
    }
    for (int i = 0; i < 2 * directions; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < directions; i++) {
        OK(out[i].rc, out[i].err, "send");
        OK(in[i].rc, in[i].err, "receive");
        CHECK(memcmp(out[i].bytes, in[i].bytes, len) == 0, "other bytes came");
        free(out[i].bytes);
        free(in[i].bytes);
    }
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void carries_all_shapes(void **state)
{
    size_t len = 64 * MIB / TEST_SLOWNESS;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct channel *pair[2];

        client_version(versions[i]);
        tls_pair(client, server, pair);
        carry(pair, len, 1);
        CHECK(pair[0]->bytes_sent > len && pair[0]->bytes_sent < len + len / 8,
              "%llu bytes on the wire", (unsigned long long)pair[0]->bytes_sent);
        CHECK(pair[1]->bytes_received == pair[0]->bytes_sent, "sent and received");
        free_pair(pair);
    }
}

static void carries_both_ways_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct channel *pair[2];

        client_version(versions[i]);
        tls_pair(client, server, pair);
        carry(pair, 16 * MIB / TEST_SLOWNESS, 2);
        free_pair(pair);
    }
}

/* Every few records, in both directions, while the other thread sends or receives. */
static void changes_keys(void **state)
{
    struct tls_creds *restless = tls_creds_named(
        (struct tls_config){.dir = "good", .hostname = "host.example", .rekey_records = 3});
    struct channel *pair[2];

    (void)state;
    tls_pair(restless, server, pair);
    carry(pair, 4 * MIB, 2);
    free_pair(pair);
    tls_creds_free(restless);
}

static void empty_transfers_are_fine(void **state)
{
    struct iovec iov[] = {{NULL, 0}, {NULL, 0}};
    struct channel *pair[2];
    struct error err;
    size_t got = 7;

    (void)state;
    tls_pair(client, server, pair);
    OK(channel_sendv(pair[0], iov, 2, 0, &err), err, "send nothing");
    OK(channel_sendv(pair[0], iov, 0, 0, &err), err, "send no pieces");
    OK(channel_recvv(pair[1], iov, 2, 0, 0, &got, &err), err, "receive nothing");
    CHECK(got == 0, "%zu bytes of nothing", got);
    free_pair(pair);
}

static void takes_what_has_come(void **state)
{
    char bytes[100];
    struct iovec iov[] = {{bytes, 10}, {bytes + 10, 90}};
    struct channel *pair[2];
    struct error err;
    size_t got = 0;

    (void)state;
    tls_pair(client, server, pair);
    OK(channel_send(pair[0], "0123456789abcdefghijklmnop", 26, 0, &err), err, "send");
    OK(channel_recvv(pair[1], iov, 2, 12, 0, &got, &err), err, "receive");
    CHECK(got == 26 && memcmp(bytes, "0123456789abcdefghijklmnop", 26) == 0, "%zu bytes", got);
    free_pair(pair);
}

static void peeks_and_does_not_wait(void **state)
{
    char byte;
    struct iovec iov = {&byte, 1};
    struct channel *pair[2];
    struct error err;
    size_t got = 9;

    (void)state;
    tls_pair(client, server, pair);
    check_refused("nothing there", channel_recvv(pair[1], &iov, 1, 1, CHANNEL_NOWAIT, &got, &err),
                  &err, ERR_SYSTEM, "receive");
    CHECK(err.sys == EAGAIN, "errno %d", err.sys);
    OK(channel_send(pair[0], "ab", 2, 0, &err), err, "send");
    for (int i = 0; i < 2; i++) {
        iov = (struct iovec){&byte, 1};
        OK(channel_recvv(pair[1], &iov, 1, 1, CHANNEL_PEEK, &got, &err), err, "peek");
        CHECK(got == 1 && byte == 'a', "%zu bytes, %c", got, byte);
    }
    for (int i = 0; i < 2; i++) {
        iov = (struct iovec){&byte, 1};
        OK(channel_recvv(pair[1], &iov, 1, 1, CHANNEL_NOWAIT, &got, &err), err, "take");
        CHECK(got == 1 && byte == "ab"[i], "%zu bytes, %c", got, byte);
    }
    free_pair(pair);
}

static void takes_the_throttle_along(void **state)
{
    struct tls_end ends[2] = {{.creds = client}, {.creds = server}};
    struct rate_limit rate_limit;
    int fds[2];

    (void)state;
    rate_limit_init(&rate_limit, 0);
    tcp_pair(fds);
    for (int i = 0; i < 2; i++)
        ends[i].below = channel_of_fd(fds[i], HANG_MS + 7);
    struct channel *below = ends[0].below;
    below->rate_limit = &rate_limit;
    tls_shake(&ends[0], &ends[1]);
    OK(ends[0].rc, ends[0].err, "client");
    CHECK(ends[0].c->rate_limit == &rate_limit && !below->rate_limit, "the throttle");
    CHECK(ends[0].c->stall_timeout_ms == HANG_MS + 7 && below->stall_timeout_ms == HANG_MS + 7,
          "the patience");
    CHECK(ends[0].c->fd == fds[0] && ends[0].c->local && !ends[0].c->borrows, "the rest");
    CHECK(!channel_sends_files(ends[0].c), "no files");
    channel_free(ends[0].c);
    channel_free(ends[1].c);
    rate_limit_done(&rate_limit);
}

/* --- ends ------------------------------------------------------------------------------------- */

enum ending { CLOSE_NOTIFY, CUT };

#define PART_OF_RECORD "\x17\x03\x03\x40\x00half"

static const struct end_case {
    const char *label;
    const char *text; /* sent in the regular way */
    const char *raw;  /* then this, not encrypted */
    size_t raw_len;
    enum ending how;
    size_t min;
    unsigned flags;
    const char *refused; /* NULL: an orderly end, nothing received */
    bool cut;
} end_cases[] = {
    {"said", "", "", 0, CLOSE_NOTIFY, 4, 0, "closed the connection, 4 more bytes", false},
    {"said, inside", "abc", "", 0, CLOSE_NOTIFY, 4, 0, "closed the connection, 1 more", false},
    {"said, idle", "", "", 0, CLOSE_NOTIFY, 4, CHANNEL_MAY_IDLE, NULL, false},
    {"said, inside, idle", "abc", "", 0, CLOSE_NOTIFY, 4, CHANNEL_MAY_IDLE,
     "closed the connection, 1 more", false},
    {"cut at once", "", "", 0, CUT, 4, 0, "right after the TLS handshake: it may have refused",
     false},
    {"cut, inside", "abc", "", 0, CUT, 4, 0, "was cut (no TLS close_notify), 1 more", false},
    {"cut, idle", "", "", 0, CUT, 4, CHANNEL_MAY_IDLE, NULL, true},
    {"cut, inside, idle", "abc", "", 0, CUT, 4, CHANNEL_MAY_IDLE, "was cut (no TLS close", false},
    {"cut in a header", "", PART_OF_RECORD, 3, CUT, 4, CHANNEL_MAY_IDLE, "inside a TLS record",
     false},
    {"cut after a header", "", PART_OF_RECORD, 5, CUT, 4, CHANNEL_MAY_IDLE, "inside a TLS record",
     false},
    {"cut in a record", "", PART_OF_RECORD, 9, CUT, 4, CHANNEL_MAY_IDLE, "inside a TLS record",
     false},
    {"cut in a record, after data", "ab", PART_OF_RECORD, 9, CUT, 4, 0, "inside a TLS record",
     false},
};

static void close_end(struct channel *c, enum ending how)
{
    struct error err;

    if (how == CLOSE_NOTIFY)
        OK(channel_finish(c, 1, &err), err, "finish"); /* the peer has no channel to close */
    channel_free(c);
}

/* ret[from] can send bytes without TLS only where the kernel does not encrypt them (kTLS). */
static void pair_with_raw(int from, struct channel *ret[static 2])
{
    tls_pair(from == 0 ? plain : client, server, ret);
    CHECK(!channel_security(ret[from]).by_kernel, "the kernel would encrypt");
}

static void check_end(const struct end_case *c, int from)
{
    struct channel *pair[2], *to;
    struct error err;
    char bytes[8];
    size_t got = 99;

    pair_with_raw(from, pair);
    to = pair[!from];
    OK(channel_send(pair[from], c->text, strlen(c->text), 0, &err), err, "send");
    CHECK(write(pair[from]->fd, c->raw, c->raw_len) == (ssize_t)c->raw_len, "write");
    close_end(pair[from], c->how);
    for (int again = 0; again < 2; again++) {
        struct iovec iov = {bytes, sizeof(bytes)};
        int rc = channel_recvv(to, &iov, 1, c->min, c->flags, &got, &err);

        if (c->refused && !again)
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
        else if (!c->refused)
            CHECK(rc == 0 && got == 0, "%s: rc %d, %zu bytes", c->label, rc, got);
        else
            CHECK(rc < 0 || got == 0, "%s: read past its end", c->label);
    }
    CHECK(!c->refused ? to->cut == c->cut : true, "%s: cut %d", c->label, to->cut);
    channel_free(to);
}

static void tells_how_the_peer_closed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(end_cases); i++)
        check_end(&end_cases[i / 2], i % 2);
}

static const struct hostile_case {
    const char *label, *bytes;
    size_t len;
    const char *refused;
} hostile_cases[] = {
    {"a forged record",
     "\x17\x03\x03\x00\x20"
     "0123456789abcdef0123456789abcdef",
     37, "not sent by the peer"},
    {"an empty record", "\x17\x03\x03\x00\x00", 5, ""},
    {"a record too long",
     "\x17\x03\x03\xff\xff"
     "0123456789abcdef",
     21, "a record that is too long"},
    {"a record just too long",
     "\x17\x03\x03\x48\x01"
     "0123456789abcdef",
     21, "a record that is too long"},
    {"another type",
     "\x99\x03\x03\x00\x20"
     "0123456789abcdef0123456789abcdef",
     37, ""},
    {"another version",
     "\x17\x09\x09\x00\x20"
     "0123456789abcdef0123456789abcdef",
     37, ""},
    {"a plain alert", "\x15\x03\x03\x00\x02\x02\x28", 7, ""},
    {"a plain stream", "QEVM\0\0\0\3", 8, ""},
};

static void check_hostile(const struct hostile_case *c, int from)
{
    struct channel *pair[2], *to;
    struct error err, same;
    char byte;
    size_t got;

    pair_with_raw(from, pair);
    to = pair[!from];
    CHECK(write(pair[from]->fd, c->bytes, c->len) == (ssize_t)c->len, "write");
    struct iovec iov = {&byte, 1};
    int rc = channel_recvv(to, &iov, 1, 1, CHANNEL_MAY_IDLE, &got, &err);
    check_refused(c->label, rc, &err, ERR_PEER, c->refused);
    rc = channel_recvv(to, &iov, 1, 1, CHANNEL_MAY_IDLE, &got, &same);
    check_refused(c->label, rc, &same, ERR_PEER, err.text);
    rc = channel_send(to, "x", 1, 0, &same);
    check_refused(c->label, rc, &same, ERR_PEER, err.text);
    free_pair(pair);
}

static void refuses_hostile_bytes(void **state)
{
    (void)state;
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        client_version(versions[v]);
        for (size_t i = 0; i < 2 * ARRAY_LEN(hostile_cases); i++)
            check_hostile(&hostile_cases[i / 2], i % 2);
    }
}

static void sends_after_the_peers_end(void **state)
{
    struct channel *pair[2];
    struct error err;
    char text[5] = "";
    struct iovec iov = {text, 4};
    size_t got = 1;

    (void)state;
    tls_pair(client, server, pair);
    OK(channel_finish(pair[0], 1, &err), err, "finish"); /* the peer does not close */
    check_refused("after the end", channel_send(pair[0], "x", 1, 0, &err), &err, ERR_SYSTEM,
                  "send");
    OK(channel_recvv(pair[1], &iov, 1, 4, CHANNEL_MAY_IDLE, &got, &err), err, "the end");
    CHECK(got == 0, "%zu bytes", got);
    OK(channel_send(pair[1], "SHUT", 4, 0, &err), err, "the other direction is open");
    free_pair(pair);
}

static void needs_no_patience_to_finish(void **state)
{
    struct raw_peer peer;
    struct error err;
    char byte;

    (void)state;
    struct channel *c = channel_and_raw(3, &peer);
    OK(channel_finish(c, 3, &err), err, "a peer that does not close");
    CHECK(SSL_read(peer.ssl, &byte, 1) <= 0, "the end");
    CHECK(SSL_get_shutdown(peer.ssl) & SSL_RECEIVED_SHUTDOWN, "close_notify");
    channel_free(c);
    raw_close(&peer);
    c = channel_and_raw(HANG_MS, &peer);
    raw_close(&peer);
    OK(channel_finish(c, HANG_MS, &err), err, "a peer that has gone");
    channel_free(c);
}

/* --- a server with unusual habits ------------------------------------------------------------- */

struct reading {
    struct raw_peer peer;
    size_t len;
    bool closed;
};

static void *raw_read_all(void *arg)
{
    struct reading *r = arg;
    static _Thread_local char bytes[5000];
    int n;

    raw_shake(&r->peer);
    while ((n = SSL_read(r->peer.ssl, bytes, sizeof(bytes))) > 0)
        r->len += (size_t)n;
    r->closed = SSL_get_error(r->peer.ssl, n) == SSL_ERROR_ZERO_RETURN;
    ERR_clear_error();
    raw_close(&r->peer);
    return NULL;
}

/* The tickets are unread at our end; closing with unread bytes would be a reset. */
static void loses_no_tail(void **state)
{
    struct tls_creds *generous =
        tls_creds_named((struct tls_config){.server = true, .dir = "good"});
    size_t len = MIB;
    char *bytes = calloc(1, len);

    (void)state;
    SSL_CTX_clear_options(generous->ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(generous->ctx, 4);
    SSL_CTX_set_session_id_context(generous->ctx, (const unsigned char *)"t", 1);
    for (int i = 0; i < 20; i++) {
        struct reading r = {.peer = {.ctx = generous->ctx}};
        struct channel *c;
        struct error err;
        pthread_t thread;
        int fds[2];

        tcp_pair(fds);
        r.peer.fd = fds[1];
        pthread_create(&thread, NULL, raw_read_all, &r);
        OK(tls_channel_new(channel_of_fd(fds[0], HANG_MS), client, DEADLINE_NEVER, &c, &err), err,
           "handshake");
        OK(channel_send(c, bytes, len, 0, &err), err, "send");
        OK(channel_finish(c, HANG_MS, &err), err, "finish");
        channel_free(c);
        pthread_join(thread, NULL);
        CHECK(r.len == len && r.closed, "%zu bytes of %zu, closed %d", r.len, len, r.closed);
    }
    free(bytes);
    tls_creds_free(generous);
}

/* The answers leave with our next send, before its bytes. */
static void answers_key_updates(void **state)
{
    struct raw_peer peer;
    struct error err;
    char text[5] = "";

    (void)state;
    struct channel *c = client_and_raw(plain, HANG_MS, &peer);
    for (int i = 0; i < 50; i++) {
        struct iovec iov = {text, 4};
        size_t got;

        CHECK(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED) == 1, "key update");
        CHECK(SSL_write(peer.ssl, "ping", 4) == 4, "write");
        OK(channel_recvv(c, &iov, 1, 4, 0, &got, &err), err, "receive");
        CHECK(strcmp(text, "ping") == 0, "%s", text);
        OK(channel_send(c, "pong", 4, 0, &err), err, "send");
        CHECK(SSL_read(peer.ssl, text, 4) == 4 && strcmp(text, "pong") == 0, "%s", text);
    }
    channel_free(c);
    raw_close(&peer);
}

/* A peer that makes us answer without end and never reads: an error, not endless memory. */
static void bounds_answers(void **state)
{
    struct raw_peer peer;
    struct error err;
    char byte;
    struct iovec iov = {&byte, 1};
    size_t got = 1;
    int rc = 0;

    (void)state;
    struct channel *c = client_and_raw(plain, HANG_MS, &peer);
    for (int i = 0; rc == 0 && i < 40000; i++) {
        iov = (struct iovec){&byte, 1};
        CHECK(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED) == 1, "key update");
        if (SSL_write(peer.ssl, "x", 1) != 1)
            break;
        rc = channel_recvv(c, &iov, 1, 1, 0, &got, &err);
    }
    check_refused("answers", rc, &err, ERR_PEER, "more answers than it lets us send");
    channel_free(c);
    raw_close(&peer);
}

/* A kernel that encrypts cannot change the key: both ends of the channel refuse it, every time. */
static void refuses_new_keys_of_the_kernels(void **state)
{
    struct raw_peer peer;
    struct error err;
    char text[8] = "";
    size_t got;

    (void)state;
    struct channel *c = channel_and_raw(HANG_MS, &peer);
    bool by_kernel = channel_security(c).by_kernel;
    if (by_kernel) {
        CHECK(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1, "its own key");
        CHECK(SSL_write(peer.ssl, "ping", 4) == 4, "write");
        struct iovec iov = {text, 4};
        OK(channel_recvv(c, &iov, 1, 4, 0, &got, &err), err, "the peer's own key may change");
        OK(channel_send(c, "pong", 4, 0, &err), err, "send");
        CHECK(SSL_read(peer.ssl, text, 4) == 4 && strcmp(text, "pong") == 0, "%s", text);
        CHECK(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED) == 1, "key update");
        CHECK(SSL_do_handshake(peer.ssl) == 1, "key update");
        iov = (struct iovec){text, 4};
        check_refused("receive", channel_recvv(c, &iov, 1, 4, 0, &got, &err), &err, ERR_PEER,
                      "the peer demands a new key");
        check_refused("send", channel_send(c, "pong", 4, 0, &err), &err, ERR_PEER,
                      "the peer demands a new key");
    }
    channel_free(c);
    raw_close(&peer);
    if (!by_kernel) {
        print_message("skipped: this kernel has no kTLS\n");
        skip();
    }
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void interrupt_wakes_a_receiver(void **state)
{
    struct channel *pair[2];
    pthread_t thread;
    uint8_t bytes[10];

    (void)state;
    tls_pair(client, server, pair);
    struct transfer t = {.c = pair[0], .bytes = bytes, .len = sizeof(bytes)};
    pthread_create(&thread, NULL, receive_all, &t);
    channel_interrupt(pair[0]);
    pthread_join(thread, NULL);
    check_refused("interrupt", t.rc, &t.err, ERR_CANCELLED, "interrupted");
    free_pair(pair);
}

static void interrupt_wakes_a_sender(void **state)
{
    struct channel *pair[2];
    struct error err;
    pthread_t thread;
    size_t len = 64 * MIB; /* more than any buffer */
    char byte;

    (void)state;
    tls_pair(client, server, pair);
    struct transfer t = {.c = pair[0], .bytes = calloc(1, len), .len = len};
    pthread_create(&thread, NULL, send_all, &t);
    CHECK(recv(pair[1]->fd, &byte, 1, MSG_PEEK) == 1, "the sender has begun");
    channel_interrupt(pair[0]);
    pthread_join(thread, NULL);
    check_refused("interrupt", t.rc, &t.err, ERR_CANCELLED, "interrupted");
    check_refused("again", channel_send(pair[0], "x", 1, 0, &err), &err, ERR_CANCELLED,
                  "interrupted");
    free(t.bytes);
    free_pair(pair);
}

static void *send_until_interrupted(void *arg)
{
    struct transfer *t = arg;

    while (t->rc == 0)
        send_all(t);
    return NULL;
}

/* The last word of a failing migration must not wait for the thread that sends. */
static void nowait_fails_rather_than_waits(void **state)
{
    struct channel *pair[2];
    struct error err;
    pthread_t thread;
    char byte;
    int rc = 0;

    (void)state;
    tls_pair(client, server, pair);
    OK(channel_send(pair[0], "SHUT", 4, CHANNEL_NOWAIT, &err), err, "there is room");
    struct transfer t = {.c = pair[0], .bytes = calloc(1, MIB), .len = MIB};
    pthread_create(&thread, NULL, send_until_interrupted, &t);
    CHECK(recv(pair[1]->fd, &byte, 1, MSG_PEEK) == 1, "the sender has begun");
    while (rc == 0)
        rc = channel_send(pair[0], "SHUT", 4, CHANNEL_NOWAIT, &err);
    CHECK(err.kind == ERR_SYSTEM && err.sys == EAGAIN, "errno %d: %s", err.sys, err.text);
    channel_interrupt(pair[0]);
    pthread_join(thread, NULL);
    free(t.bytes);
    free_pair(pair);
}

static void silence_ends_in_an_error(void **state)
{
    struct raw_peer peer;
    uint8_t bytes[10];

    (void)state;
    struct channel *c = channel_and_raw(3, &peer);
    struct transfer in = {.c = c, .bytes = bytes, .len = sizeof(bytes)};
    receive_all(&in);
    check_refused("nothing comes", in.rc, &in.err, ERR_PEER, "sent nothing for 0.0 s");
    struct transfer out = {.c = c, .bytes = calloc(1, 64 * MIB), .len = 64 * MIB};
    send_all(&out);
    check_refused("nobody reads", out.rc, &out.err, ERR_PEER, "read nothing for 0.0 s");
    free(out.bytes);
    channel_free(c);
    raw_close(&peer);
}

static void silence_inside_a_record_too(void **state)
{
    struct raw_peer peer;
    struct error err;
    char byte;
    struct iovec iov = {&byte, 1};
    size_t got;

    (void)state;
    struct channel *c = channel_and_raw(3, &peer);
    CHECK(write(peer.fd, PART_OF_RECORD, 9) == 9, "write");
    check_refused("a record begun", channel_recvv(c, &iov, 1, 1, CHANNEL_MAY_IDLE, &got, &err),
                  &err, ERR_PEER, "sent nothing for 0.0 s");
    channel_free(c);
    raw_close(&peer);
}

static void *write_when_asleep(void *arg)
{
    struct raw_peer *peer = arg;
    struct pollfd never = {.fd = -1};

    poll(&never, 1, 20); /* a few ticks; however long this takes, the other side must wait */
    SSL_write(peer->ssl, "x", 1);
    return NULL;
}

static void silence_between_records_is_borne(void **state)
{
    struct raw_peer peer;
    struct error err;
    pthread_t thread;
    char byte;
    struct iovec iov = {&byte, 1};
    size_t got;

    (void)state;
    struct channel *c = channel_and_raw(1, &peer);
    pthread_create(&thread, NULL, write_when_asleep, &peer);
    int rc = channel_recvv(c, &iov, 1, 1, CHANNEL_MAY_IDLE, &got, &err);
    pthread_join(thread, NULL);
    OK(rc, err, "between records");
    channel_free(c);
    raw_close(&peer);
}

/* A recall takes the bytes that are decrypted, and those in the socket; it waits for the
 * rest of a record. */
static void a_recall_takes_what_had_come(void **state)
{
    struct raw_peer peer;
    struct cancel recall;
    struct error err;
    char bytes[4], records[26 + 24]; /* four bytes and two, each with its header and tag */
    size_t got = 0;

    (void)state;
    struct channel *c = channel_and_raw(3, &peer);
    OK(cancel_init(&recall, &err), err, "recall");
    c->recall = &recall;
    CHECK(SSL_write(peer.ssl, "abcd", 4) == 4 && SSL_write(peer.ssl, "ef", 2) == 2, "write");
    while (recv(c->fd, records, sizeof(records), MSG_PEEK | MSG_WAITALL) < (ssize_t)sizeof(records))
        ; /* until the kernel has delivered both: each wait is a tick */
    cancel_request(&recall);
    for (const char *want = "abcdef"; *want; want += got) {
        struct iovec iov = {bytes, 3};

        OK(channel_recvv(c, &iov, 1, 1, CHANNEL_MAY_IDLE | CHANNEL_RECALL, &got, &err), err, want);
        CHECK(got > 0 && memcmp(bytes, want, got) == 0, "%zu bytes of %s", got, want);
    }
    struct iovec iov = {bytes, 1};
    check_refused("nothing had come",
                  channel_recvv(c, &iov, 1, 1, CHANNEL_MAY_IDLE | CHANNEL_RECALL, &got, &err), &err,
                  ERR_SYSTEM, "receive");
    CHECK(err.sys == ECANCELED, "errno %d", err.sys);
    CHECK(write(peer.fd, PART_OF_RECORD, 9) == 9, "write");
    check_refused("a record begun",
                  channel_recvv(c, &iov, 1, 1, CHANNEL_MAY_IDLE | CHANNEL_RECALL, &got, &err), &err,
                  ERR_PEER, "sent nothing for 0.0 s");
    channel_free(c);
    cancel_done(&recall);
    raw_close(&peer);
}

/* Undoes what a failed test may have left behind. */
static int setup(void **state)
{
    (void)state;
    client_version(0);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(carries_all_shapes),
        TEST(carries_both_ways_at_once),
        TEST(changes_keys),
        TEST(empty_transfers_are_fine),
        TEST(takes_what_has_come),
        TEST(peeks_and_does_not_wait),
        TEST(takes_the_throttle_along),
        TEST(tells_how_the_peer_closed),
        TEST(refuses_hostile_bytes),
        TEST(sends_after_the_peers_end),
        TEST(needs_no_patience_to_finish),
        TEST(loses_no_tail),
        TEST(answers_key_updates),
        TEST(bounds_answers),
        TEST(refuses_new_keys_of_the_kernels),
        TEST(interrupt_wakes_a_receiver),
        TEST(interrupt_wakes_a_sender),
        TEST(nowait_fails_rather_than_waits),
        TEST(silence_ends_in_an_error),
        TEST(silence_inside_a_record_too),
        TEST(silence_between_records_is_borne),
        TEST(a_recall_takes_what_had_come),
    };

    signal(SIGPIPE, SIG_IGN);
    tls_files();
    client = tls_creds_named((struct tls_config){.dir = "good", .hostname = "host.example"});
    plain = tls_creds_named(
        (struct tls_config){.dir = "good", .hostname = "host.example", .no_ktls = true});
    server = tls_creds_named((struct tls_config){.server = true, .dir = "good"});
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_creds_free(client);
    tls_creds_free(plain);
    tls_creds_free(server);
    return failed;
}
