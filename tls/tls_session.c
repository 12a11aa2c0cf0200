#include "tls/tls_session.h"

#include <fnmatch.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "tls/tls_cert.h"

/* --- callbacks -------------------------------------------------------------------------------- */

static struct tls_session *session_of(X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());

    return ssl ? SSL_get_app_data(ssl) : NULL;
}

/*
 * Writes "\," and "\+" inside a value as "\2C" and "\2B": so a pattern cannot take one value of a
 * name for two parts.
 */
static void hide_separators(const char *dn, char *ret)
{
    for (; *dn; dn++) {
        bool escaped = dn[0] == '\\' && dn[1];

        if (escaped && (dn[1] == ',' || dn[1] == '+')) {
            ret = stpcpy(ret, dn[1] == ',' ? "\\2C" : "\\2B");
        } else {
            *ret++ = dn[0];
            if (escaped)
                *ret++ = dn[1];
        }
        dn += escaped;
    }
    *ret = 0;
}

/* A name may have characters that are special in a pattern, so it is also compared literally. */
static bool is_allowed(const char *authz, X509 *cert)
{
    char dn[TLS_DN_MAX], plain[2 * TLS_DN_MAX];

    if (!tls_cert_dn(cert, dn))
        return false;
    hide_separators(dn, plain);
    return strcmp(authz, dn) == 0 || fnmatch(authz, plain, FNM_NOESCAPE) == 0;
}

static void note_cert(struct tls_session *s, X509_STORE_CTX *store, int code)
{
    /* If the authority is missing, it does not matter for which certificate of the chain. */
    X509 *cert = tls_cert_lacks_authority(code) ? X509_STORE_CTX_get0_cert(store)
                                                : X509_STORE_CTX_get_current_cert(store);
    const struct tls_creds *c = s->creds;
    struct tls_trust trust = tls_trust_of(c);
    char why[sizeof(s->finding) - 40];

    if (s->finding[0] || !cert)
        return; /* the first is the cause */
    enum remedy remedy = tls_cert_explain(cert, code, &trust, why, sizeof(why));
    if (c->config.psk_file) {
        snprintf(s->finding, sizeof(s->finding),
                 "the peer uses certificates, this side has pre-shared keys");
        return;
    }
    s->remedy = remedy;
    snprintf(s->finding, sizeof(s->finding), "%s %s",
             cert == X509_STORE_CTX_get0_cert(store) ? "the peer's certificate"
                                                     : "in the peer's chain the certificate",
             why);
}

/* Also called for our own certificate when it is loaded; then there is no session. */
int tls_session_verify(int ok, X509_STORE_CTX *store)
{
    struct tls_session *s = session_of(store);
    int code = X509_STORE_CTX_get_error(store);

    /* As in GnuTLS: a missing list revokes nothing. */
    if (!ok && code == X509_V_ERR_UNABLE_TO_GET_CRL) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    /* Checked here, not after the handshake, so that the peer can still be told. */
    if (ok && s && s->creds->config.authz && X509_STORE_CTX_get_error_depth(store) == 0 &&
        !is_allowed(s->creds->config.authz, X509_STORE_CTX_get0_cert(store))) {
        ok = 0;
        code = X509_V_ERR_CERT_REJECTED;
        X509_STORE_CTX_set_error(store, code);
    }
    if (!ok && s)
        note_cert(s, store, code);
    return ok;
}

static unsigned give_key(const struct psk_key *k, unsigned char *key, unsigned room)
{
    if (!k || k->key_len > room)
        return 0;
    memcpy(key, k->key, k->key_len);
    return (unsigned)k->key_len;
}

unsigned tls_session_psk_client(SSL *ssl, const char *hint, char *user, unsigned user_room,
                                unsigned char *key, unsigned key_room)
{
    const struct tls_session *s = SSL_get_app_data(ssl);
    const char *name = s->creds->config.username;

    (void)hint;
    if (snprintf(user, user_room, "%s", name) >= (int)user_room)
        return 0;
    return give_key(psk_keys_find(&s->creds->psk, name), key, key_room);
}

unsigned tls_session_psk_server(SSL *ssl, const char *user, unsigned char *key, unsigned key_room)
{
    struct tls_session *s = SSL_get_app_data(ssl);
    const struct psk_key *k = psk_keys_find(&s->creds->psk, user);

    if (!k)
        snprintf(s->finding, sizeof(s->finding), "the peer's user '%.128s' has no key in %.200s",
                 user, s->creds->config.psk_file);
    return give_key(k, key, key_room);
}

/* --- making ----------------------------------------------------------------------------------- */

/* No server name is sent: QEMU sends none either. */
static int expect_host(SSL *ssl, const char *hostname)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (X509_VERIFY_PARAM_set1_ip_asc(param, hostname))
        return 1;
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, hostname, 0);
}

int tls_session_init(struct tls_session *s, const struct tls_creds *creds, struct error *err)
{
    bool check_host = creds->config.dir && !creds->config.server;

    *s = (struct tls_session){.creds = creds, .ssl = SSL_new(creds->ctx)};
    if (!s->ssl || (check_host && !expect_host(s->ssl, creds->config.hostname))) {
        ERR_clear_error();
        return err_set(err, ERR_SYSTEM, "memory for a TLS session");
    }
    SSL_set_app_data(s->ssl, s);
    if (creds->config.server)
        SSL_set_accept_state(s->ssl);
    else
        SSL_set_connect_state(s->ssl);
    return 0;
}

void tls_session_done(struct tls_session *s)
{
    SSL_free(s->ssl);
    s->ssl = NULL;
}

/* --- explaining ------------------------------------------------------------------------------- */

#define ALERT(number) (SSL_AD_REASON_OFFSET + (number))

/* Which connections a row is for; 0: any. */
#define SERVER 1U
#define CLIENT 2U
#define X509S  4U
#define KEYS   8U

#define NO_COMMON_WAY "; one side may use certificates, the other pre-shared keys"

/* The first row that applies is used. `and_file` adds the file of our certificate or keys. */
static const struct reason {
    int number;
    unsigned when;
    const char *text;
    bool and_file;
    enum remedy remedy; /* its text comes between `text` and the file */
} reasons[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, 0,
     "the peer has no certificate, and this side demands one (client-cert.pem there)",
     .and_file = false},
    {SSL_R_BINDER_DOES_NOT_VERIFY, 0, "the peer's key is not the one that its user has in",
     .and_file = true},
    {SSL_R_DIGEST_CHECK_FAILED, KEYS, "the peer's key is not the one that its user has in",
     .and_file = true},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, KEYS,
     "a record was damaged, or the peer has another key than", .and_file = true},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, X509S,
     "a record was damaged on its way, or not sent by the peer", .and_file = false},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, 0,
     "the peer offers no method that this side has" NO_COMMON_WAY, .and_file = false},
    {SSL_R_NO_SHARED_CIPHER, 0, "the peer offers no method that this side has" NO_COMMON_WAY,
     .and_file = false},
    {SSL_R_UNSUPPORTED_PROTOCOL, 0, "the peer speaks no TLS from 1.2 on", .and_file = false},
    {SSL_R_VERSION_TOO_LOW, 0, "the peer speaks no TLS from 1.2 on", .and_file = false},
    {SSL_R_WRONG_VERSION_NUMBER, 0, "the peer sent something that is not a TLS record",
     .and_file = false},
    {SSL_R_PACKET_LENGTH_TOO_LONG, 0, "the peer sent a record that is too long", .and_file = false},
    {SSL_R_ENCRYPTED_LENGTH_TOO_LONG, 0, "the peer sent a record that is too long",
     .and_file = false},
    {SSL_R_DATA_LENGTH_TOO_LONG, 0, "the peer sent a record that is too long", .and_file = false},
    {SSL_R_BAD_RECORD_TYPE, 0, "the peer sent something that is not a TLS record",
     .and_file = false},
    {ALERT(SSL_AD_CERTIFICATE_REQUIRED), 0, "the peer refused: it demands a certificate, as in",
     .and_file = true},
    {ALERT(SSL_AD_UNKNOWN_CA), 0, "the peer refused: it knows no authority of", .and_file = true},
    {ALERT(SSL_AD_BAD_CERTIFICATE), SERVER, "the peer refused, perhaps for the host in it", true,
     REMEDY_TLS_HOSTNAME_THERE},
    {ALERT(SSL_AD_BAD_CERTIFICATE), CLIENT, "the peer refused, perhaps for the name in it", true,
     REMEDY_TLS_AUTHZ_THERE},
    {ALERT(SSL_AD_UNSUPPORTED_CERTIFICATE), 0, "the peer refused: it cannot use", .and_file = true},
    {ALERT(SSL_AD_CERTIFICATE_REVOKED), 0, "the peer refused: by its list revoked is",
     .and_file = true},
    {ALERT(SSL_AD_CERTIFICATE_EXPIRED), 0, "the peer refused: by its clock expired is",
     .and_file = true},
    {ALERT(SSL_AD_CERTIFICATE_UNKNOWN), 0, "the peer refused", .and_file = true},
    {ALERT(SSL_AD_ACCESS_DENIED), 0, "the peer refused: it does not allow the name in",
     .and_file = true},
    {ALERT(SSL_AD_UNKNOWN_PSK_IDENTITY), 0, "the peer refused: it does not have the user of",
     .and_file = true},
    {ALERT(SSL_AD_BAD_RECORD_MAC), KEYS,
     "the peer refused: it has no such user, or another key than", .and_file = true},
    {ALERT(SSL_AD_DECRYPT_ERROR), KEYS,
     "the peer refused: it has no such user, or another key than", .and_file = true},
    {ALERT(SSL_AD_ILLEGAL_PARAMETER), KEYS,
     "the peer refused: it has no such user, or another key than", .and_file = true},
    {ALERT(SSL_AD_HANDSHAKE_FAILURE), KEYS,
     "the peer refused: it does not have this user, or uses certificates", .and_file = false},
    {ALERT(SSL_AD_HANDSHAKE_FAILURE), X509S,
     "the peer refused: it demands a certificate, or offers no method that this side "
     "has" NO_COMMON_WAY,
     .and_file = false},
    {ALERT(SSL_AD_PROTOCOL_VERSION), 0, "the peer refused: it speaks neither TLS 1.3 nor 1.2",
     .and_file = false},
};

static unsigned nature_of(const struct tls_config *config)
{
    return (config->server ? SERVER : CLIENT) | (config->psk_file ? KEYS : X509S);
}

static const struct reason *find_reason(unsigned long code, unsigned nature)
{
    for (size_t i = 0; ERR_GET_LIB(code) == ERR_LIB_SSL && i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].number == ERR_GET_REASON(code) &&
            (reasons[i].when & nature) == reasons[i].when)
            return &reasons[i];
    }
    return NULL;
}

static int refer_to_file(const struct tls_creds *c, const struct reason *r, struct error *err)
{
    err_set_with(err, ERR_PEER, r->remedy, "%s", r->text);
    err_add(err, r->remedy == REMEDY_NONE ? " " : ": ");
    if (c->config.psk_file)
        return err_add(err, "%s", c->config.psk_file);
    return err_add(err, "%s%s", c->cert_path, c->has_cert ? "" : " (it is not there)");
}

/* An error without a row is reported in OpenSSL's words. */
static int explain_code(const struct tls_creds *c, const struct reason *r, unsigned long code,
                        struct error *err)
{
    const char *text = ERR_reason_error_string(code);

    if (r && r->and_file)
        return refer_to_file(c, r, err);
    if (r)
        return err_set(err, ERR_PEER, "%s", r->text);
    return err_set(err, ERR_PEER, "%s%s",
                   ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET ? "the peer refused: " : "",
                   text ? text : "TLS failed without a reason");
}

/* Explains the first error in OpenSSL's queue that has a row: errors before it are details. If none
 * has a row, the first error is the cause. */
int tls_session_explain(const struct tls_session *s, struct error *err)
{
    unsigned nature = nature_of(&s->creds->config);
    unsigned long first = ERR_peek_error(), code;
    const struct reason *r = NULL;

    while (!r && (code = ERR_get_error()))
        r = find_reason(code, nature);
    ERR_clear_error();
    if (s->finding[0])
        return err_set_with(err, ERR_PEER, s->remedy, "%s", s->finding);
    return explain_code(s->creds, r, first, err);
}
