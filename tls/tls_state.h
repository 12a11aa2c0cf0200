/*
 * tls/tls_state.h: the state of a channel under TLS, which the handshake and the data transfer
 * share, and what both do with the channel below. For tls/ only.
 *
 * Two threads must not use an SSL object at once, but a main connection has two threads: so every
 * call on it is made under `lock`, and no thread waits for the peer while it holds `lock`. See
 * tls_wire.h for how bytes come and go.
 */
#pragma once

#include <pthread.h>

#include "tls/tls_session.h"
#include "tls/tls_wire.h"
#include "transport/channel.h"

struct tls_channel {
    struct channel base;

    /* Set before other threads see it, read-only after. */
    struct channel *below;
    uint64_t records_per_key; /* UINT64_MAX: TLS 1.2 cannot change it */
    uint64_t handshake_bytes; /* received by the end of the handshake */
    struct channel_security security;
    uint64_t ktls_from; /* with kTLS, bytes_sent is path_position() minus this */

    /* Taken in this order. */
    pthread_mutex_t send_lock; /* held by the thread that sends */
    pthread_mutex_t recv_lock; /* held by the thread that receives */
    pthread_mutex_t lock;      /* held during calls of OpenSSL only */

    struct tls_session session; /* under lock */
    struct tls_wire wire;       /* tls_wire.h says which lock each field needs */

    /* Under send_lock. */
    bool send_failed;
    struct error send_err;
    uint64_t records; /* sent with this key */
    uint8_t record[TLS_RECORD];

    /* Written under recv_lock and lock, read under either. */
    bool recv_failed;
    struct error recv_err;
    bool key_demanded; /* by the peer, with kTLS: see tls_handshake.c; under lock */
};

/* Makes the state of a channel on top of `below`, which stays the caller's. base.ops is not set
 * yet. NULL: no memory. */
struct tls_channel *tls_state_new(struct channel *below);
/* Frees all but the channel below. */
void tls_state_free(struct tls_channel *t);

/* Called before the channel below waits for the peer: gives it our present timeout settings. */
void tls_state_pass_patience(struct tls_channel *t);
void tls_state_count_sent(struct tls_channel *t);
void tls_state_count_received(struct tls_channel *t);
/* Sends what is encrypted. */
MUST_USE int tls_state_flush(struct tls_channel *t, unsigned flags, struct error *err);
/* Whether an error of the channel below says that the peer has gone. */
bool tls_peer_has_gone(const struct error *err);
