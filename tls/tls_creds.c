#include "tls/tls_creds.h"

#include <stdlib.h>
#include <string.h>

#include "tls/tls_creds_state.h"
#include "tls/tls_error.h"
#include "tls/tls_session.h"
#include "tls/tls_x509.h"

/* --- pre-shared keys -------------------------------------------------------------------------- */

static int load_psk(struct tls_creds *c, struct error *err)
{
    if (psk_keys_load(c->config.psk_file, &c->psk, err) < 0)
        return -1;
    if (!c->config.server && !psk_keys_find(&c->psk, c->config.username))
        return err_set(err, ERR_USAGE, "%s: has no key of user '%.128s'", c->config.psk_file,
                       c->config.username);
    /* These serve TLS 1.3 too, with SHA-256, which GnuTLS also assumes for a key without a hash. */
    if (c->config.server)
        SSL_CTX_set_psk_server_callback(c->ctx, tls_session_psk_server);
    else
        SSL_CTX_set_psk_client_callback(c->ctx, tls_session_psk_client);
    return 0;
}

/* --- the protocol ----------------------------------------------------------------------------- */

/*
 * Our server chooses by its own order; GnuTLS servers choose by the client's. AES with 128 bits
 * comes first: it has fewer rounds than with 256 bits, and neither can be broken. A machine that
 * runs guests has AES in hardware, so ChaCha comes last. For pre-shared keys, TLS 1.2 has no
 * AES-GCM with ECDHE that both libraries know; the last suite there has no forward secrecy.
 */
static const struct {
    bool psk;
    const char *tls13, *tls12;
} suites[] = {
    {false, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
     "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
     "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
     "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
     "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384"},
    {true, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256",
     "DHE-PSK-AES128-GCM-SHA256:ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES128-CBC-SHA256:"
     "PSK-AES128-GCM-SHA256"},
};

static int choose_suites(SSL_CTX *ctx, bool psk)
{
    for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
        if (suites[i].psk == psk)
            return SSL_CTX_set_ciphersuites(ctx, suites[i].tls13) &&
                   SSL_CTX_set_cipher_list(ctx, suites[i].tls12);
    }
    return 0;
}

/*
 * With pre-shared keys there is no authority: a client accepts no certificate, and a server does
 * not ask for one.
 */
static int verify_mode(const struct tls_config *config)
{
    if (!config->server)
        return SSL_VERIFY_PEER;
    return config->psk_file ? SSL_VERIFY_NONE : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

static int make_context(struct tls_creds *c, struct error *err)
{
    c->ctx = SSL_CTX_new(TLS_method());
    if (!c->ctx || !SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION) ||
        !choose_suites(c->ctx, c->config.psk_file))
        return tls_library_error(err, "OpenSSL");
    /* A source that never reads leaves a ticket unread; closing then resets the connection, and the
     * destination loses the end of the stream. */
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                    SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_clear_options(c->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_num_tickets(c->ctx, 0);
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_dh_auto(c->ctx, 1);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_NO_AUTO_CHAIN); /* the peer has the authority's certificate */
    SSL_CTX_set_verify(c->ctx, verify_mode(&c->config), tls_session_verify);
    return 0;
}

/* --- making ----------------------------------------------------------------------------------- */

static int check_config(const struct tls_config *config, struct error *err)
{
    if (!config->dir == !config->psk_file)
        return err_set_with(err, ERR_USAGE, REMEDY_TLS_CREDENTIALS,
                            "certificates or pre-shared keys: expected one of them");
    if (config->psk_file && config->authz)
        return err_set(err, ERR_USAGE,
                       "tls-authz compares names in certificates: there are none in a file of "
                       "PSKs");
    if (config->dir && !config->server && (!config->hostname || !config->hostname[0]))
        return err_set(err, ERR_USAGE,
                       "tls-hostname: needed where the address names no host: the name in the "
                       "peer's certificate");
    return 0;
}

static int copy_text(const char **text)
{
    if (*text && !(*text = strdup(*text)))
        return -1;
    return 0;
}

/* Copies the texts. One that cannot be copied becomes NULL, so that all of them can be freed. */
static int copy_config(struct tls_creds *c, const struct tls_config *config, struct error *err)
{
    struct tls_config own = *config;
    const char **texts[] = {&own.dir, &own.psk_file, &own.username, &own.hostname, &own.authz};
    int rc = 0;

    if (!own.username)
        own.username = "qemu";
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        rc |= copy_text(texts[i]);
    c->config = own;
    return rc < 0 ? err_sys(err, "memory for TLS credentials") : 0;
}

int tls_creds_new(const struct tls_config *config, struct tls_creds **ret, struct error *err)
{
    if (check_config(config, err) < 0)
        return -1;
    struct tls_creds *c = calloc(1, sizeof(*c));
    if (!c)
        return err_sys(err, "memory for TLS credentials");
    if (copy_config(c, config, err) < 0 || make_context(c, err) < 0 ||
        (config->dir ? tls_x509_load(c, err) : load_psk(c, err)) < 0) {
        tls_creds_free(c);
        return -1;
    }
    *ret = c;
    return 0;
}

void tls_creds_free(struct tls_creds *c)
{
    if (!c)
        return;
    const char *texts[] = {c->config.dir, c->config.psk_file, c->config.username,
                           c->config.hostname, c->config.authz};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(UNQUALIFIED(texts[i]));
    psk_keys_done(&c->psk);
    sk_X509_pop_free(c->others, X509_free);
    free(c->notices);
    SSL_CTX_free(c->ctx);
    free(c);
}

const char *tls_creds_notice(const struct tls_creds *c, size_t i)
{
    return i < c->n_notices ? c->notices[i].text : NULL;
}

void tls_thread_done(void)
{
    OPENSSL_thread_stop();
}

const char *tls_library(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}
