/*
 * tls/tls_state.h: what is known of a channel under TLS, for its handshake and for its data; and
 * what both do with the channel below. For tls/ only.
 *
 * An SSL object is not for two threads at once, but a main connection has two: so every call on it
 * is made under `lock`, and nobody waits for the peer while holding that. See tls_wire.h for how
 * the bytes come and go.
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
    bool key_demanded; /* of a kernel that encrypts: see tls_handshake.c; under lock */
};

/* Around `below`, which stays the caller's. Its base has no operations yet. */
struct tls_channel *tls_state_new(struct channel *below);
/* All but the channel below. */
void tls_state_free(struct tls_channel *t);

/* Before anything below waits for the peer: as patient as we are told to be now. */
void tls_state_pass_patience(struct tls_channel *t);
void tls_state_count_sent(struct tls_channel *t);
void tls_state_count_received(struct tls_channel *t);
/* Sends what is encrypted. */
MUST_USE int tls_state_flush(struct tls_channel *t, unsigned flags, struct error *err);
/* An error of the channel below that says so. */
bool tls_peer_has_gone(const struct error *err);
