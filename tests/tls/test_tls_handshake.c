/* Handshakes that succeed, and what each side reports about those that fail. */
#include "tls/tls_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "tests/support/bytes_channel.h"
#include "tests/support/certs.h"
#include "tests/support/test.h"
#include "tests/support/tls_pair.h"
#include "tls/tls_session.h"

static const struct {
    int number;
    const char *name;
} versions[] = {{TLS1_2_VERSION, "TLSv1.2"}, {TLS1_3_VERSION, "TLSv1.3"}};

static struct tls_creds *client_creds(void)
{
    return tls_creds_named((struct tls_config){.dir = "good", .hostname = "host.example"});
}

/* In the words of migration/credentials.c. */
static const char *name_plain(const uint8_t *bytes, size_t len)
{
    bool is_known =
        len >= 4 && (memcmp(bytes, "QEVM", 4) == 0 || memcmp(bytes, "\x11\x22\x33\x44", 4) == 0);

    return is_known ? "a plain QEMU migration stream" : NULL;
}

static struct tls_creds *server_creds(void)
{
    return tls_creds_named(
        (struct tls_config){.server = true, .dir = "good", .name_plain = name_plain});
}

/* --- handshakes ------------------------------------------------------------------------------- */

static int send_text(struct channel *c, const char *text, struct error *err)
{
    return channel_send(c, text, strlen(text), 0, err);
}

static int receive_text(struct channel *c, size_t len, char *ret, struct error *err)
{
    struct iovec iov = {ret, len};
    size_t got = 0;
    int rc = channel_recvv(c, &iov, 1, len, 0, &got, err);

    ret[rc == 0 ? got : 0] = 0;
    return rc;
}

static void expect_text(struct channel *c, const char *text)
{
    char got[64];
    struct error err;

    OK(receive_text(c, strlen(text), got, &err), err, text);
    CHECK(strcmp(got, text) == 0, "%s, expected %s", got, text);
}

static void check_both_ways(struct channel *client, struct channel *server)
{
    struct error err;

    OK(send_text(client, "ping", &err), err, "send");
    expect_text(server, "ping");
    OK(send_text(server, "pong", &err), err, "send");
    expect_text(client, "pong");
}

/* Folders of tls_files(). */
#define CLIENT(folder) .client = {.dir = folder, .hostname = "host.example"}
#define SERVER(folder) .server = {.dir = folder}
#define GOOD           CLIENT("good"), SERVER("good")

static const struct handshake_case {
    const char *label;
    struct tls_config client, server;
    /* Parts of the error of each side; both NULL: it succeeds. The client may learn of it later. */
    const char *client_error, *server_error;
    int version;                             /* 0: both */
    const char *client_shows, *server_shows; /* our end shows another certificate, unchecked */
} handshake_cases[] = {
    {.label = "good", GOOD},
    {.label = "address", .client = {.dir = "good", .hostname = "127.0.0.1"}, SERVER("good")},
    {.label = "a list that revokes others", CLIENT("strict"), SERVER("strict")},
    {.label = "allowed name",
     CLIENT("good"),
     .server = {.dir = "good", .authz = "C=GB,O=x,CN=client"}},
    {.label = "allowed pattern",
     CLIENT("good"),
     .server = {.dir = "good", .authz = "*,O=x,CN=cl?ent"}},
    {.label = "key", .client = {.psk_file = "keys.psk"}, .server = {.psk_file = "keys.psk"}},
    {.label = "another user's key",
     .client = {.psk_file = "keys.psk", .username = "al"},
     .server = {.psk_file = "keys.psk"}},

    {.label = "wrong host",
     .client = {.dir = "good", .hostname = "elsewhere"},
     SERVER("good"),
     .client_error = "(O=x,CN=server) is for host.example, 127.0.0.1, not for 'elsewhere' (--tls-h",
     .server_error = "perhaps for the host in it (--tls-hostname there): "},
    {.label = "wrong address",
     .client = {.dir = "good", .hostname = "127.0.0.2"},
     SERVER("good"),
     .client_error =
         "is for the DNS name host.example, 127.0.0.1, not for the IP address 127.0.0.2",
     .server_error = "perhaps for the host in it (--tls-hostname there): "},
    {.label = "the server is of an unknown authority",
     CLIENT("good"),
     SERVER("other"),
     .client_error = "(O=x,CN=server) is of no authority in ",
     .server_error = "it knows no authority of "},
    {.label = "the client is of an unknown authority",
     GOOD,
     .client_shows = "other/client",
     .client_error = "it knows no authority of ",
     .server_error = "(C=GB,O=x,CN=client) is of no authority in "},
    {.label = "an address as a DNS name",
     .client = {.dir = "good", .hostname = "127.0.0.1"},
     SERVER("good"),
     .server_shows = "by-name/server",
     .client_error = "(CN=by name) is for the DNS name 127.0.0.1, not for the IP address 127.0.0.1 "
                     "(subjectAltName IP:...; else --tls-hostname)",
     .server_error = "perhaps for the host in it (--tls-hostname there): "},
    {.label = "an address as the common name",
     .client = {.dir = "good", .hostname = "127.0.0.1"},
     SERVER("good"),
     .server_shows = "nameless/server",
     .client_error = "is for the common name 127.0.0.1, not for the IP address 127.0.0.1",
     .server_error = "perhaps for the host in it (--tls-hostname there): "},
    {.label = "authorities that nobody uses", CLIENT("lax"), SERVER("lax")},
    {.label = "a server's authority is expired",
     CLIENT("lax"),
     SERVER("good"),
     .server_shows = "past/server",
     .client_error = "in the peer's chain the certificate (CN=past authority) expired on 20",
     .server_error = "by its clock expired is "},
    {.label = "a client's authority is expired",
     CLIENT("good"),
     SERVER("lax"),
     .client_shows = "past/client",
     .client_error = "by its clock expired is ",
     .server_error = "in the peer's chain the certificate (CN=past authority) expired on 20"},
    {.label = "a server's authority has a small key",
     CLIENT("lax"),
     SERVER("good"),
     .server_shows = "weak/server",
     .client_error =
         "(CN=weak authority) has a key that is too small for this host's OpenSSL: RSA, "
         "512 bits",
     .server_error = "the peer refused"},
    {.label = "expired server",
     GOOD,
     .server_shows = "old/server",
     .client_error = "(CN=old) expired on 20",
     .server_error = "by its clock expired is "},
    {.label = "expired client",
     GOOD,
     .client_shows = "old/client",
     .client_error = "by its clock expired is ",
     .server_error = "(CN=old) expired on 20"},
    {.label = "a client's certificate for a server",
     GOOD,
     .server_shows = "good/client",
     .client_error = "not meant for this side",
     .server_error = "it cannot use "},
    {.label = "revoked server",
     CLIENT("strict"),
     SERVER("good"),
     .server_shows = "gone/server",
     .client_error = "(O=x,CN=gone) is revoked by ",
     .server_error = "by its list revoked is "},
    {.label = "revoked client",
     CLIENT("gone"),
     SERVER("strict"),
     .client_error = "by its list revoked is ",
     .server_error = "(O=x,CN=gone) is revoked by "},
    {.label = "no client certificate",
     CLIENT("nobody"),
     SERVER("good"),
     .version = TLS1_3_VERSION,
     .client_error = "client-cert.pem (it is not there)",
     .server_error = "the peer has no certificate"},
    {.label = "no client certificate, 1.2",
     CLIENT("nobody"),
     SERVER("good"),
     .version = TLS1_2_VERSION,
     .client_error = "it demands a certificate, or",
     .server_error = "the peer has no certificate"},
    {.label = "refused name",
     CLIENT("good"),
     .server = {.dir = "good", .authz = "O=y,*"},
     .client_error = "perhaps for the name in it (--tls-authz there): ",
     .server_error = "(C=GB,O=x,CN=client) is not allowed by --tls-authz"},
    {.label = "a value that looks like two",
     CLIENT("crafty"),
     .server = {.dir = "good", .authz = "*+CN=admin"},
     .client_error = "perhaps for the name in it (--tls-authz there): ",
     .server_error = "is not allowed by --tls-authz"},
    {.label = "a name that is longer than any that is allowed",
     CLIENT("endless"),
     .server = {.dir = "good", .authz = "O=*"},
     .client_error = "perhaps for the name in it (--tls-authz there): ",
     .server_error = "is not allowed by --tls-authz"},
    {.label = "another key",
     .client = {.psk_file = "wrong.psk"},
     .server = {.psk_file = "keys.psk"},
     .client_error = "or another key than ",
     .server_error = "keys.psk"},
    {.label = "unknown user",
     .client = {.psk_file = "bob.psk", .username = "bob"},
     .server = {.psk_file = "keys.psk"},
     .client_error = "the peer refused: it does not have th",
     .server_error = "the peer's user 'bob' has no key in "},
    {.label = "keys here, certificates there",
     .client = {.psk_file = "keys.psk"},
     SERVER("good"),
     .client_error = "uses certificates",
     .server_error = "the peer "},
    {.label = "certificates here, keys there",
     CLIENT("good"),
     .server = {.psk_file = "keys.psk"},
     .client_error = "pre-shared keys",
     .server_error = "pre-shared keys"},
};

/* Over TCP, since a refused client sees a reset there. */
static void connect_ends(struct tls_end *client, struct tls_end *server)
{
    int fds[2];

    tcp_pair(fds);
    client->below = channel_of_fd(fds[0], HANG_MS);
    server->below = channel_of_fd(fds[1], HANG_MS);
}

/* A client of TLS 1.3 finishes first; it learns of the refusal when it next sends or receives. */
static void expect_refusal(const char *label, struct tls_end *client, const char *part, bool sends)
{
    char text[4];
    int tries = 1000; /* sends succeed until the reset has come */

    while (client->c && client->rc == 0 && tries-- > 0)
        client->rc = sends ? send_text(client->c, "hello", &client->err)
                           : receive_text(client->c, 1, text, &client->err);
    check_refused(label, client->rc, &client->err, ERR_PEER, part);
}

static void check_handshake(const struct handshake_case *c, struct tls_end *client,
                            struct tls_end *server, bool sends)
{
    connect_ends(client, server);
    tls_shake(client, server);
    if (!c->client_error) {
        OK(server->rc, server->err, c->label);
        OK(client->rc, client->err, c->label);
        check_both_ways(client->c, server->c);
    } else {
        check_refused(c->label, server->rc, &server->err, ERR_PEER, c->server_error);
        expect_refusal(c->label, client, c->client_error, sends);
    }
    channel_free(client->c);
    channel_free(server->c);
}

/* Shows a certificate without checking it, as a foreign peer might; `name`: "FOLDER/ROLE". */
static void show(const struct tls_creds *creds, const char *name)
{
    char file[64], path[PATH_MAX];

    if (!name)
        return;
    snprintf(file, sizeof(file), "%s-cert.pem", name);
    CHECK(SSL_CTX_use_certificate_file(creds->ctx, temp_path(path, file), SSL_FILETYPE_PEM) == 1,
          "%s", path);
    snprintf(file, sizeof(file), "%s-key.pem", name);
    CHECK(SSL_CTX_use_PrivateKey_file(creds->ctx, temp_path(path, file), SSL_FILETYPE_PEM) == 1,
          "%s", path);
}

static void shake_hands_with(const struct handshake_case *c, int version)
{
    struct tls_config config = c->server;

    config.server = true;
    struct tls_creds *creds[] = {tls_creds_named(c->client), tls_creds_named(config)};
    SSL_CTX_set_max_proto_version(creds[0]->ctx, version);
    show(creds[0], c->client_shows);
    show(creds[1], c->server_shows);
    for (int sends = 0; sends < 2; sends++) {
        struct tls_end client = {.creds = creds[0]}, server = {.creds = creds[1]};

        check_handshake(c, &client, &server, sends);
    }
    tls_creds_free(creds[0]);
    tls_creds_free(creds[1]);
}

static void shakes_hands_or_says_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(handshake_cases); i++) {
        for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
            const struct handshake_case *c = &handshake_cases[i];

            if (c->version == 0 || c->version == versions[v].number)
                shake_hands_with(c, versions[v].number);
        }
    }
}

/* --- peers that do not speak TLS -------------------------------------------------------------- */

#define NOT_HERE "set tls-creds there, or leave --tls-creds here"

static const struct stranger_case {
    const char *label;
    bool server; /* our end is the server */
    const char *bytes;
    size_t len;
    bool closes; /* else it waits until we close */
    const char *refused;
} stranger_cases[] = {
    {"plain main", true, "QEVM\0\0\0\3", 8, false,
     "0x5145564d, a plain QEMU migration stream: " NOT_HERE},
    {"plain multifd", true, "\x11\x22\x33\x44\0\0\0\1", 8, false,
     "0x11223344, a plain QEMU migration stream: " NOT_HERE},
    {"http", true, "GET / HTTP/1.1\r\n\r\n", 18, false,
     "does not speak TLS: expected a handshake, the peer speaks HTTP"},
    {"http, to a client", false, "HTTP/1.1 400\r\n", 14, false, "the peer speaks HTTP"},
    {"ssh, to a client", false, "SSH-2.0-OpenSSH_9.2p1\r\n", 23, false, "the peer speaks SSH"},
    {"one byte", true, "Q", 1, false, "starts with 0x51: "},
    {"old SSL", true, "\x80\x2e\x01\x00\x02", 5, false, "starts with 0x802e0100"},
    {"a record of another version", true, "\x16\x04\x00\x00\x05", 5, false, "0x16040000"},
    {"closes at once", true, "", 0, true, "closed the connection; it may not speak TLS"},
    {"closes on a client", false, "", 0, true, "closed the connection; it may not speak TLS"},
    {"closes inside a header", true, "\x16\x03\x01", 3, true, "closed the connection"},
    {"closes inside a hello", true, "\x16\x03\x01\x00\x40\x01\x00\x00", 8, true,
     "closed the connection"},
    {"a record too long", true, "\x16\x03\x01\xff\xff\x01\x00\x00", 8, false, "TLS handshake: "},
    {"data instead of a hello", true,
     "\x17\x03\x03\x00\x04"
     "abcd",
     9, false, "TLS handshake: "},
    {"an alert", false, "\x15\x03\x03\x00\x02\x02\x28", 7, false, "the peer refused: "},
    {"an empty hello", true, "\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9, false, "TLS handshake: "},
};

/* The peer's bytes are there when the handshake begins. */
static int meet(const struct stranger_case *c, const struct tls_creds *creds, uint64_t *ret_heard,
                struct error *err)
{
    struct channel *below, *tls = NULL;
    int fds[2];

    tcp_pair(fds);
    below = fast_channel(fds[0], HANG_MS);
    CHECK(write(fds[1], c->bytes, c->len) == (ssize_t)c->len, "write");
    if (c->closes)
        shutdown(fds[1], SHUT_WR);
    int rc = tls_channel_new(below, creds, DEADLINE_NEVER, &tls, err);
    *ret_heard = atomic_load(&below->bytes_received);
    CHECK(!tls, "%s: a channel", c->label);
    CHECK(atomic_load(&below->stall_timeout_ms) == HANG_MS, "the caller's patience");
    channel_free(below);
    close(fds[1]);
    return rc;
}

static void refuses_strangers(void **state)
{
    struct tls_creds *creds[] = {client_creds(), server_creds()};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(stranger_cases); i++) {
        const struct stranger_case *c = &stranger_cases[i];
        struct error err;
        uint64_t heard;

        check_refused(c->label, meet(c, creds[c->server], &heard, &err), &err, ERR_PEER,
                      c->refused);
        CHECK(heard == c->len, "%s: %llu bytes heard", c->label, (unsigned long long)heard);
    }
    tls_creds_free(creds[0]);
    tls_creds_free(creds[1]);
}

static uint32_t random_from(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* Looks like a handshake: a record's header, then other bytes. */
static size_t make_garbage(uint32_t seed, uint8_t *to, size_t room)
{
    size_t len = 6 + random_from(&seed) % (room - 6);

    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(random_from(&seed) >> 7);
    to[0] = 20 + seed % 4;
    to[1] = 3;
    to[2] = seed >> 8 & 3;
    to[3] = seed >> 10 & 1;
    to[5] = seed >> 11 & 1 ? 1 : 2; /* from the client's or the server's hello */
    return len;
}

static void survives_garbage(void **state)
{
    struct tls_creds *creds[] = {client_creds(), server_creds()};
    uint8_t bytes[700];

    (void)state;
    for (uint32_t i = 1; i <= 400; i++) {
        size_t len = make_garbage(i * 2654435761U, bytes, sizeof(bytes));
        struct stranger_case c = {"garbage", i % 2, (char *)bytes, len, true, NULL};
        struct error err;
        uint64_t heard;

        check_refused("garbage", meet(&c, creds[i % 2], &heard, &err), &err, ERR_PEER,
                      "TLS handshake: ");
    }
    tls_creds_free(creds[0]);
    tls_creds_free(creds[1]);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void has_a_deadline(void **state)
{
    struct tls_creds *creds[] = {client_creds(), server_creds()};

    (void)state;
    for (int server = 0; server < 2; server++) {
        struct channel *c;
        struct error err;
        int fds[2];

        tcp_pair(fds);
        struct channel *below = fast_channel(fds[0], 0);
        check_refused("silence", tls_channel_new(below, creds[server], deadline_in_ms(3), &c, &err),
                      &err, ERR_PEER, "it may not speak TLS");
        CHECK(atomic_load(&below->bytes_received) == 0, "nothing was said");
        CHECK(atomic_load(&below->stall_timeout_ms) == 0, "no limit, as before");
        check_refused("too late", tls_channel_new(below, creds[server], clock_ns(), &c, &err), &err,
                      ERR_PEER, "was silent; it may not speak TLS");
        channel_free(below);
        close(fds[1]);
    }
    tls_creds_free(creds[0]);
    tls_creds_free(creds[1]);
}

static void *shake_alone(void *arg)
{
    struct tls_end *e = arg;

    e->rc = tls_channel_new(e->below, e->creds, DEADLINE_NEVER, &e->c, &e->err);
    return NULL;
}

static void can_be_interrupted(void **state)
{
    struct tls_creds *creds = client_creds();
    pthread_t thread;
    char byte;
    int fds[2];

    (void)state;
    tcp_pair(fds);
    struct tls_end e = {.creds = creds, .below = channel_of_fd(fds[0], 0)};
    pthread_create(&thread, NULL, shake_alone, &e);
    CHECK(recv(fds[1], &byte, 1, 0) == 1, "it has begun");
    channel_interrupt(e.below);
    pthread_join(thread, NULL);
    check_refused("interrupt", e.rc, &e.err, ERR_CANCELLED, "interrupted");
    channel_free(e.below);
    close(fds[1]);
    tls_creds_free(creds);
}

#define CONNECTIONS 12

struct connection {
    struct tls_end client, server;
};

static void *shake_pair(void *arg)
{
    struct connection *c = arg;

    tls_shake(&c->client, &c->server);
    return NULL;
}

/* As the channels of one migration do: many handshakes with the same credentials. */
static void many_shake_hands_at_once(void **state)
{
    struct tls_creds *creds[] = {client_creds(), server_creds()};
    struct connection all[CONNECTIONS] = {0};
    pthread_t threads[CONNECTIONS];

    (void)state;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &all[i];

        c->client.creds = creds[0];
        c->server.creds = creds[1];
        connect_ends(&c->client, &c->server);
        pthread_create(&threads[i], NULL, shake_pair, c);
    }
    for (size_t i = 0; i < CONNECTIONS; i++) {
        pthread_join(threads[i], NULL);
        OK(all[i].client.rc, all[i].client.err, "client");
        OK(all[i].server.rc, all[i].server.err, "server");
        check_both_ways(all[i].client.c, all[i].server.c);
        channel_free(all[i].client.c);
        channel_free(all[i].server.c);
    }
    tls_creds_free(creds[0]);
    tls_creds_free(creds[1]);
}

/* --- what was agreed -------------------------------------------------------------------------- */

static void prefers_fewer_rounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct tls_creds *client = client_creds(), *server = server_creds();
        struct channel *pair[2];

        SSL_CTX_set_max_proto_version(server->ctx, versions[i].number);
        tls_pair(client, server, pair);
        for (int end = 0; end < 2; end++) {
            struct channel_security info = channel_security(pair[end]);

            CHECK(strcmp(info.version, versions[i].name) == 0, "%s", info.version);
            CHECK(strstr(info.cipher, "AES") && strstr(info.cipher, "128") &&
                      strstr(info.cipher, "GCM"),
                  "%s", info.cipher);
            CHECK(end == 0 || !info.by_kernel, "only who sends pages has the kernel encrypt");
            channel_free(pair[end]);
        }
        tls_creds_free(client);
        tls_creds_free(server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shakes_hands_or_says_why), cmocka_unit_test(refuses_strangers),
        cmocka_unit_test(survives_garbage),         cmocka_unit_test(has_a_deadline),
        cmocka_unit_test(can_be_interrupted),       cmocka_unit_test(many_shake_hands_at_once),
        cmocka_unit_test(prefers_fewer_rounds),
    };

    signal(SIGPIPE, SIG_IGN);
    tls_files();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
