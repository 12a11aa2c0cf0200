/*
 * tls/tls_creds_state.h: what credentials hold: tls_creds.c and tls_x509.c load it, each session
 * reads it. For tls/ only.
 */
#pragma once

#include <limits.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "tls/psk_keys.h"
#include "tls/tls_cert.h"
#include "tls/tls_config.h"

/* Read-only once made. */
struct tls_creds {
    SSL_CTX *ctx;
    struct tls_config config; /* its texts are ours */
    struct psk_keys psk;
    char ca_path[PATH_MAX], crl_path[PATH_MAX], cert_path[PATH_MAX], key_path[PATH_MAX];
    bool has_cert;
    STACK_OF(X509) * others; /* certificates in ca-cert.pem that are no authorities; NULL: none */
    struct error *notices;
    size_t n_notices;
};

/* What certificates are checked against. */
static inline struct tls_trust tls_trust_of(const struct tls_creds *c)
{
    return (struct tls_trust){c->ca_path, c->crl_path, c->config.hostname, c->others};
}
