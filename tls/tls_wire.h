/*
 * tls/tls_wire.h: ciphertext between an SSL object and the channel that carries it. The SSL object
 * reads and writes only memory, so that no call on it ever waits. For tls/ only.
 *
 * Receiving: the thread that receives fills a buffer outside the owner's lock, and OpenSSL reads
 * from it. Sending: OpenSSL writes into a buffer under the owner's lock; the thread that sends
 * takes it, sends it outside the lock, and gives it back. What OpenSSL writes meanwhile, for the
 * thread that receives, is kept in `aside` and sent with the next bytes: an answer need not be sent
 * at once, only before what we send next.
 */
#pragma once

#include <openssl/bio.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "transport/channel.h"

/* Bytes of plaintext in a record, and the most that they become when they are encrypted, also if
 * the peer has asked for tiny records. */
#define TLS_RECORD      16384U
#define TLS_RECORD_ROOM (TLS_RECORD + 4096U)

#define TLS_WIRE_RECORDS 16 /* how many are encrypted and then sent with one call */
#define TLS_WIRE_IN      (TLS_WIRE_RECORDS * TLS_RECORD)
#define TLS_WIRE_OUT     (TLS_WIRE_RECORDS * TLS_RECORD_ROOM)
#define TLS_WIRE_ASIDE   4096

struct tls_wire {
    struct channel *below;
    BIO_METHOD *method;

    /* The receiver's. */
    uint8_t *in;
    size_t in_at, in_end;

    /* Under the owner's lock; `out` belongs to the sender while `taken`. */
    uint8_t *out, aside[TLS_WIRE_ASIDE];
    size_t out_len, aside_len;
    bool taken;
};

/* *ret_bio is for an SSL object, in both directions, and must be freed before tls_wire_done(). */
MUST_USE int tls_wire_init(struct tls_wire *w, struct channel *below, BIO **ret_bio,
                           struct error *err);
/* Frees no channel. Zeroed or half-made is fine. */
void tls_wire_done(struct tls_wire *w);

/*
 * Called by the receiver, when OpenSSL has read all that had come: waits for more, as
 * channel_recvv() with these flags does. *ret_len 0: the peer has closed the connection.
 */
MUST_USE int tls_wire_fill(struct tls_wire *w, unsigned flags, size_t *ret_len, struct error *err);

/* How many more full records can be encrypted now. Under the lock. */
size_t tls_wire_room(const struct tls_wire *w);
/* Called by the sender, under the lock: returns what is to be sent, perhaps nothing. */
struct iovec tls_wire_take(struct tls_wire *w);
/* Called by the sender, under the lock: what tls_wire_take() returned has been sent. */
void tls_wire_taken_is_sent(struct tls_wire *w);
