/*
 * tests/support/tls_pair.h: two ends that do a TLS handshake with each other, over any socket.
 */
#pragma once

#include <pthread.h>

#include "base/clock.h"
#include "tls/tls_channel.h"

/* One end: its input, and the result of its handshake. */
struct tls_end {
    const struct tls_creds *creds;
    struct channel *below; /* NULL once the TLS channel has it, or the handshake has failed */
    struct channel *c;     /* NULL: the handshake has failed */
    uint64_t heard;        /* bytes received before a handshake that failed did so */
    int rc;
    struct error err;
};

/* A channel whose blocking calls return every millisecond, so that it notices silence fast. */
struct channel *fast_channel(int fd, uint64_t stall_timeout_ms);
/* Connected TCP sockets on 127.0.0.1. */
void tcp_pair(int ret[static 2]);
/* A channel of the plain engine. */
struct channel *channel_of_fd(int fd, uint64_t stall_timeout_ms);

/* Runs both handshakes, the server's on a thread of its own. A failure closes the connection. */
void tls_shake(struct tls_end *client, struct tls_end *server);
/* The same over TCP, with these credentials. Fails the test if a handshake fails. */
void tls_pair(const struct tls_creds *client, const struct tls_creds *server,
              struct channel *ret[static 2]);

/*
 * Makes folders of certificates in the test's own folder:
 *   good    server: host.example, 127.0.0.1; client: C=GB,O=x,CN=client
 *   nobody  an authority, but no client's certificate
 *   strict  as good, with a revocation list that has the certificates of gone
 *   gone    revoked certificates for both roles
 *   old     expired certificates for both roles: they do not load
 *   other   as good, of another authority
 * and some for single tests; and files of keys: keys.psk (users qemu and al), wrong.psk (another
 * key for qemu), bob.psk (bob).
 */
void tls_files(void);
/* Credentials by the name of such a folder or file. */
struct tls_creds *tls_creds_named(struct tls_config config);
