/*
 * tls/tls_session.h: one connection's SSL object, made of credentials, and what its failure means.
 * For tls/ only.
 */
#pragma once

#include <openssl/ssl.h>

#include "tls/tls_creds_state.h"

struct tls_session {
    const struct tls_creds *creds;
    SSL *ssl;
    char finding[480];  /* what a callback has found wrong with the peer; empty: nothing */
    enum remedy remedy; /* of the finding */
};

/* Callbacks of the SSL_CTX; they find their session by the SSL object. */
int tls_session_verify(int ok, X509_STORE_CTX *store);
unsigned tls_session_psk_client(SSL *ssl, const char *hint, char *user, unsigned user_room,
                                unsigned char *key, unsigned key_room);
unsigned tls_session_psk_server(SSL *ssl, const char *user, unsigned char *key, unsigned key_room);

/* `s` must not be moved afterwards, since OpenSSL points to it. On failure, too, it needs
 * tls_session_done(). */
MUST_USE int tls_session_init(struct tls_session *s, const struct tls_creds *creds,
                              struct error *err);
/* Zeroed is fine. */
void tls_session_done(struct tls_session *s);
/* After a call on s->ssl has failed for good: one line of ERR_PEER that says why. Always -1. */
int tls_session_explain(const struct tls_session *s, struct error *err);
