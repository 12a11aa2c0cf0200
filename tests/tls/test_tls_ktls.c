/*
 * What we ask a kernel that knows TLS for, and what we do after it agreed. This kernel need not
 * know TLS: the calls end here, and the connection shows the bytes that such a kernel would
 * encrypt.
 */
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/test.h"
#include "tests/support/tls_pair.h"
#include "tls/tls_channel.h"
#include "tls/tls_session.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

static bool kernel_agrees;
static int n_asked, n_send_keys, n_receive_keys;

/* Replace libc's functions, for OpenSSL too. */
int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (level != SOL_TLS && (level != IPPROTO_TCP || name != TCP_ULP))
        return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
    n_asked += level == IPPROTO_TCP;
    n_send_keys += level == SOL_TLS && name == TLS_TX;
    n_receive_keys += level == SOL_TLS && name == TLS_RX;
    errno = ENOENT;
    return kernel_agrees ? 0 : -1;
}

static struct channel *pair[2];
static struct tls_creds *client, *server;

static void connect_pair(bool agrees, bool no_ktls)
{
    client = tls_creds_named(
        (struct tls_config){.dir = "good", .hostname = "host.example", .no_ktls = no_ktls});
    server = tls_creds_named((struct tls_config){.server = true, .dir = "good"});

    kernel_agrees = agrees;
    n_asked = n_send_keys = n_receive_keys = 0;
    tls_pair(client, server, pair);
}

static void free_pair(void)
{
    channel_free(pair[0]);
    channel_free(pair[1]);
    tls_creds_free(client);
    tls_creds_free(server);
}

static void check_travels(void)
{
    char text[5] = "";
    struct iovec iov = {text, 4};
    struct error err;
    size_t got;

    OK(channel_send(pair[0], "ping", 4, 0, &err), err, "send");
    OK(channel_recvv(pair[1], &iov, 1, 4, 0, &got, &err), err, "receive");
    CHECK(strcmp(text, "ping") == 0, "%s", text);
}

static void asks_and_does_without(void **state)
{
    (void)state;
    connect_pair(false, false);
    CHECK(n_asked > 0, "the kernel was asked");
    CHECK(!channel_security(pair[0]).by_kernel, "it has refused");
    CHECK(pair[0]->bytes_sent == pair[1]->bytes_received, "the handshake is counted");
    check_travels();
    free_pair();
}

static void does_not_ask(void **state)
{
    (void)state;
    connect_pair(true, true);
    CHECK(n_asked == 0 && !channel_security(pair[0]).by_kernel, "nobody was asked");
    check_travels();
    free_pair();
}

/* Reads what was passed to the kernel. */
static void expect_given(const char *bytes, size_t len)
{
    char got[64] = "";

    CHECK(recv(pair[1]->fd, got, len, MSG_WAITALL) == (ssize_t)len, "receive");
    CHECK(memcmp(got, bytes, len) == 0, "other bytes: %s", got);
}

static void leaves_sending_to_the_kernel(void **state)
{
    struct iovec iov[] = {{"header", 6}, {"pages", 5}};
    struct error err;
    char text[5] = "";
    size_t got;

    (void)state;
    connect_pair(true, false);
    CHECK(channel_security(pair[0]).by_kernel, "the kernel has agreed");
    CHECK(!channel_security(pair[1]).by_kernel, "a server does not ask");
    CHECK(n_asked == 1 && n_send_keys == 1 && n_receive_keys == 0, "asked %d, keys %d and %d",
          n_asked, n_send_keys, n_receive_keys);
    uint64_t shaken = pair[0]->bytes_sent;
    CHECK(shaken == pair[1]->bytes_received, "the handshake is counted");
    OK(channel_sendv(pair[0], iov, 2, 0, &err), err, "send");
    expect_given("headerpages", 11);
    /* As the kernel counts; here TLS adds nothing. */
    CHECK(pair[0]->bytes_sent == shaken + 11, "%llu bytes",
          (unsigned long long)pair[0]->bytes_sent);
    /* Received bytes are still decrypted here. */
    OK(channel_send(pair[1], "pong", 4, 0, &err), err, "send");
    struct iovec in = {text, 4};
    OK(channel_recvv(pair[0], &in, 1, 4, 0, &got, &err), err, "receive");
    CHECK(strcmp(text, "pong") == 0, "%s", text);
    OK(channel_finish(pair[0], 1, &err), err, "finish"); /* the peer does not close */
    expect_given("\x01\x00", 2);                         /* close_notify, a warning */
    CHECK(recv(pair[1]->fd, text, 1, 0) == 0, "and no more");
    free_pair();
}

/* A server that is not ours, to demand a new key: its listener, then its connection. */
struct raw_server {
    int fd;
    SSL *ssl;
};

static void *raw_serve(void *arg)
{
    struct raw_server *r = arg;

    r->ssl = SSL_new(server->ctx);
    SSL_set_fd(r->ssl, r->fd);
    if (SSL_accept(r->ssl) == 1 && SSL_key_update(r->ssl, SSL_KEY_UPDATE_REQUESTED) == 1)
        SSL_do_handshake(r->ssl); /* sends the demand, and nothing after it */
    return NULL;
}

/* The kernel cannot change the key: a peer that was promised a new one would wait for it. */
static void refuses_a_demand_for_a_new_key(void **state)
{
    char text[5] = "";
    struct iovec iov = {text, 4};
    struct raw_server raw;
    struct channel *c;
    struct error err;
    pthread_t thread;
    size_t got;
    int fds[2];

    (void)state;
    client = tls_creds_named((struct tls_config){.dir = "good", .hostname = "host.example"});
    server = tls_creds_named((struct tls_config){.server = true, .dir = "good"});
    kernel_agrees = true;
    tcp_pair(fds);
    raw.fd = fds[1];
    pthread_create(&thread, NULL, raw_serve, &raw);
    OK(tls_channel_new(channel_of_fd(fds[0], HANG_MS), client, DEADLINE_NEVER, &c, &err), err,
       "handshake");
    pthread_join(thread, NULL);
    check_refused("receive", channel_recvv(c, &iov, 1, 4, 0, &got, &err), &err, ERR_PEER,
                  "the peer demands a new key");
    check_refused("send", channel_send(c, "ping", 4, 0, &err), &err, ERR_PEER,
                  "the peer demands a new key");
    check_refused("finish", channel_finish(c, 1, &err), &err, ERR_PEER, "demands a new key");
    channel_free(c);
    CHECK(recv(raw.fd, text, 1, 0) == 0, "and the peer is told nothing that it could not read");
    SSL_free(raw.ssl);
    close(raw.fd);
    tls_creds_free(client);
    tls_creds_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_and_does_without),
        cmocka_unit_test(does_not_ask),
        cmocka_unit_test(leaves_sending_to_the_kernel),
        cmocka_unit_test(refuses_a_demand_for_a_new_key),
    };

    signal(SIGPIPE, SIG_IGN);
    tls_files();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
