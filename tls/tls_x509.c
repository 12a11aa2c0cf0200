#include "tls/tls_x509.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tls/tls_cert.h"
#include "tls/tls_error.h"
#include "tls/tls_session.h"

/* --- files of the folder ---------------------------------------------------------------------- */

static int in_dir(const char *dir, const char *name, char ret[static PATH_MAX], struct error *err)
{
    if (snprintf(ret, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return err_set(err, ERR_USAGE, "tls-creds: the folder's path is too long");
    return 0;
}

/* For a file that may be absent: *ret_there is then false. */
static int is_there(const char *path, bool *ret_there, struct error *err)
{
    *ret_there = access(path, R_OK) == 0;
    if (!*ret_there && errno != ENOENT)
        return err_sys(err, "%s", path);
    return 0;
}

static int must_be_there(const char *path, struct error *err)
{
    return access(path, R_OK) == 0 ? 0 : err_sys(err, "%s", path);
}

static int refuse_cert(const struct tls_creds *c, const char *path, X509 *cert, int code,
                       struct error *err)
{
    struct tls_trust trust = tls_trust_of(c);
    char why[400];

    enum remedy remedy = tls_cert_explain(cert, code, &trust, why, sizeof(why));
    return err_set_with(err, ERR_USAGE, remedy, "%s: the certificate %s", path, why);
}

/* --- what is of no use, and does no harm ------------------------------------------------------ */

/*
 * A file may hold more than is used: an authority that has been replaced, a list of another
 * authority. Only the chains that this side and the peer present must be valid. A useless part of
 * the files is reported in a line.
 */
static int note(struct tls_creds *c, const struct error *what, struct error *err)
{
    struct error *notices = reallocarray(c->notices, c->n_notices + 1, sizeof(*notices));

    if (!notices)
        return err_sys(err, "memory for a notice");
    c->notices = notices;
    notices[c->n_notices++] = *what;
    return 0;
}

/* --- the authority ---------------------------------------------------------------------------- */

/* Why nothing that `cert` has signed will be accepted: X509_V_ERR_x, or 0. */
static int flaw_of(X509 *cert)
{
    if (!X509_check_ca(cert))
        return X509_V_ERR_INVALID_CA;
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0)
        return X509_V_ERR_CERT_NOT_YET_VALID;
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
        return X509_V_ERR_CERT_HAS_EXPIRED;
    return 0;
}

/*
 * A certificate that is no authority is not put into the store: its owner would be trusted without
 * any signature. An authority that is out of date is put there, so that the refusal of a chain that
 * ends in it says so.
 */
static int trust_authority(struct tls_creds *c, X509 *cert, int flaw, struct error *err)
{
    if (flaw == X509_V_ERR_INVALID_CA) {
        if (!c->others && !(c->others = sk_X509_new_null()))
            return tls_library_error(err, c->ca_path);
        return X509_add_cert(c->others, cert, X509_ADD_FLAG_UP_REF)
                   ? 0
                   : tls_library_error(err, c->ca_path);
    }
    /* GnuTLS clients choose their certificate by the names that the server lists. */
    if (!X509_STORE_add_cert(SSL_CTX_get_cert_store(c->ctx), cert) ||
        (c->config.server && !SSL_CTX_add_client_CA(c->ctx, cert)))
        return tls_library_error(err, c->ca_path);
    return 0;
}

/* *ret_sound counts usable authorities; *first says why the first unusable one is unusable. */
static int take_authority(struct tls_creds *c, X509 *cert, size_t *ret_sound, struct error *first,
                          struct error *err)
{
    int flaw = flaw_of(cert);
    struct error why;

    *ret_sound += flaw == 0;
    if (flaw) {
        refuse_cert(c, c->ca_path, cert, flaw, &why);
        if (c->n_notices == 0)
            *first = why;
        err_add(&why, "; certificates that it has signed are refused");
        if (note(c, &why, err) < 0)
            return -1;
    }
    return trust_authority(c, cert, flaw, err);
}

static int load_authorities(struct tls_creds *c, struct error *err)
{
    if (must_be_there(c->ca_path, err) < 0)
        return -1;
    BIO *bio = BIO_new_file(c->ca_path, "re");
    X509 *cert = NULL;
    size_t sound = 0;
    struct error first;
    int rc = bio ? 0 : tls_library_error(err, c->ca_path);

    err_set(&first, ERR_USAGE, "%s: holds no certificate in PEM form", c->ca_path);
    while (rc == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        rc = take_authority(c, cert, &sound, &first, err);
        X509_free(cert);
    }
    BIO_free(bio);
    ERR_clear_error(); /* the end of the file is an error, too */
    if (rc == 0 && sound == 0) {
        *err = first;
        rc = -1;
    }
    return rc;
}

/* --- revocations ------------------------------------------------------------------------------ */

static int check_signature(const struct tls_creds *c, X509_CRL *crl, STACK_OF(X509) * issuers,
                           struct error *err)
{
    for (int i = 0; i < sk_X509_num(issuers); i++) {
        if (X509_CRL_verify(crl, X509_get0_pubkey(sk_X509_value(issuers, i))) == 1)
            return 0;
    }
    if (sk_X509_num(issuers) > 0)
        return err_set(err, ERR_USAGE,
                       "%s: the list's signature is not that of the authority in %s", c->crl_path,
                       c->ca_path);
    return err_set(err, ERR_USAGE, "%s: the list is of no authority in %s", c->crl_path,
                   c->ca_path);
}

/* Several authorities may have the same name: an old one and its replacement. */
static int check_issuer(const struct tls_creds *c, X509_CRL *crl, struct error *err)
{
    STACK_OF(X509) *issuers = NULL;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    if (ctx && X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(c->ctx), NULL, NULL))
        issuers = X509_STORE_CTX_get1_certs(ctx, X509_CRL_get_issuer(crl));
    int rc = check_signature(c, crl, issuers, err);
    sk_X509_pop_free(issuers, X509_free);
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return rc;
}

/* A list that no authority of ours has signed revokes nothing; *ret_ours counts the other lists. */
static int take_list(struct tls_creds *c, X509_CRL *crl, size_t *ret_ours, struct error *first,
                     struct error *err)
{
    struct error why;

    if (check_issuer(c, crl, &why) < 0) {
        if (first->kind == ERR_NONE)
            *first = why;
        err_add(&why, "; it revokes nothing");
        return note(c, &why, err);
    }
    ++*ret_ours;
    if (!X509_STORE_add_crl(SSL_CTX_get_cert_store(c->ctx), crl))
        return tls_library_error(err, c->crl_path);
    return 0;
}

static int load_revocations(struct tls_creds *c, struct error *err)
{
    bool there;

    if (is_there(c->crl_path, &there, err) < 0)
        return -1;
    if (!there)
        return 0;
    BIO *bio = BIO_new_file(c->crl_path, "re");
    X509_CRL *crl = NULL;
    size_t ours = 0;
    struct error first = {.kind = ERR_NONE};
    int rc = bio ? 0 : tls_library_error(err, c->crl_path);

    while (rc == 0 && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
        rc = take_list(c, crl, &ours, &first, err);
        X509_CRL_free(crl);
    }
    BIO_free(bio);
    ERR_clear_error();
    /* A file without a usable list is an error: its owner wants something revoked. */
    if (rc == 0 && ours == 0 && first.kind == ERR_NONE)
        rc = err_set(err, ERR_USAGE, "%s: holds no revocation list in PEM form", c->crl_path);
    else if (rc == 0 && ours == 0) {
        *err = first;
        rc = -1;
    }
    X509_STORE_set_flags(SSL_CTX_get_cert_store(c->ctx),
                         X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return rc;
}

/* --- our own certificate ---------------------------------------------------------------------- */

static int verify_own(const struct tls_creds *c, X509_STORE_CTX *ctx, struct error *err)
{
    STACK_OF(X509) *chain = NULL;
    X509 *cert = SSL_CTX_get0_certificate(c->ctx);

    SSL_CTX_get0_chain_certs(c->ctx, &chain);
    if (!X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(c->ctx), cert, chain))
        return tls_library_error(err, c->cert_path);
    X509_STORE_CTX_set_purpose(ctx, c->config.server ? X509_PURPOSE_SSL_SERVER
                                                     : X509_PURPOSE_SSL_CLIENT);
    X509_STORE_CTX_set_verify_cb(ctx, tls_session_verify);
    if (X509_verify_cert(ctx) == 1)
        return 0;
    X509 *bad = X509_STORE_CTX_get_current_cert(ctx);
    int code = X509_STORE_CTX_get_error(ctx);

    if (!bad || tls_cert_lacks_authority(code))
        bad = cert;
    refuse_cert(c, c->cert_path, bad, code, err);
    return bad == cert ? -1 : err_add(err, ", and signs this one's chain");
}

/* Checks our certificate as strictly as the peer will: an error here is clearer than its alert. */
static int check_own(const struct tls_creds *c, struct error *err)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int rc = ctx ? verify_own(c, ctx, err) : tls_library_error(err, c->cert_path);

    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return rc;
}

static int no_passphrase(char *buf, int size, int for_writing, void *arg)
{
    bool *wanted = arg;

    (void)buf;
    (void)size;
    (void)for_writing;
    *wanted = true;
    return -1; /* else OpenSSL would ask on the terminal */
}

/* Why OpenSSL refuses to load our certificate at its security level, which the host has set. */
static const struct {
    int reason, code;
} too_weak[] = {
    {SSL_R_EE_KEY_TOO_SMALL, X509_V_ERR_EE_KEY_TOO_SMALL},
    {SSL_R_CA_KEY_TOO_SMALL, X509_V_ERR_CA_KEY_TOO_SMALL},
    {SSL_R_CA_MD_TOO_WEAK, X509_V_ERR_CA_MD_TOO_WEAK},
};

/*
 * The certificate of our file that OpenSSL has refused to load, or NULL. It loads them in their
 * order, so it is the one after those that it has taken.
 */
static X509 *find_weak(const struct tls_creds *c)
{
    STACK_OF(X509) *chain = NULL;
    int taken = SSL_CTX_get0_certificate(c->ctx) ? 1 : 0;
    BIO *bio = BIO_new_file(c->cert_path, "re");
    X509 *weak = NULL;

    SSL_CTX_get0_chain_certs(c->ctx, &chain);
    if (chain)
        taken += sk_X509_num(chain);
    for (int i = 0; bio && i <= taken; i++) {
        X509_free(weak);
        weak = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    }
    BIO_free(bio);
    return weak;
}

static int refuse_own(const struct tls_creds *c, struct error *err)
{
    unsigned long number = ERR_peek_error();

    for (size_t i = 0; ERR_GET_LIB(number) == ERR_LIB_SSL && i < ARRAY_LEN(too_weak); i++) {
        if (ERR_GET_REASON(number) != too_weak[i].reason)
            continue;
        X509 *weak = find_weak(c);
        int rc = weak ? refuse_cert(c, c->cert_path, weak, too_weak[i].code, err)
                      : tls_library_error(err, c->cert_path);

        X509_free(weak);
        ERR_clear_error();
        return rc;
    }
    return err_set(err, ERR_USAGE, "%s: no certificate in PEM form: %s", c->cert_path,
                   tls_library_reason());
}

static int refuse_key(const struct tls_creds *c, bool encrypted, struct error *err)
{
    int reason = ERR_GET_REASON(ERR_peek_error());

    if (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH)
        err_set(err, ERR_USAGE, "%s: is not the key of %s", c->key_path, c->cert_path);
    else if (encrypted)
        err_set(err, ERR_USAGE,
                "%s: the key is encrypted, and ramjet cannot ask for its passphrase: store it "
                "decrypted (openssl pkey -in FILE -out FILE), readable to its owner only",
                c->key_path);
    else
        err_set(err, ERR_USAGE, "%s: no private key in PEM form: %s", c->key_path,
                tls_library_reason());
    ERR_clear_error();
    return -1;
}

static int load_own(struct tls_creds *c, struct error *err)
{
    if (is_there(c->cert_path, &c->has_cert, err) < 0)
        return -1;
    if (!c->has_cert && !c->config.server)
        return 0;
    if (must_be_there(c->cert_path, err) < 0 || must_be_there(c->key_path, err) < 0)
        return -1;
    if (SSL_CTX_use_certificate_chain_file(c->ctx, c->cert_path) != 1)
        return refuse_own(c, err);
    bool encrypted = false;
    SSL_CTX_set_default_passwd_cb(c->ctx, no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(c->ctx, &encrypted);
    int rc = SSL_CTX_use_PrivateKey_file(c->ctx, c->key_path, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(c->ctx, NULL);
    return rc == 1 ? check_own(c, err) : refuse_key(c, encrypted, err);
}

int tls_x509_load(struct tls_creds *c, struct error *err)
{
    const char *dir = c->config.dir;
    bool server = c->config.server;

    if (in_dir(dir, "ca-cert.pem", c->ca_path, err) < 0 ||
        in_dir(dir, "ca-crl.pem", c->crl_path, err) < 0 ||
        in_dir(dir, server ? "server-cert.pem" : "client-cert.pem", c->cert_path, err) < 0 ||
        in_dir(dir, server ? "server-key.pem" : "client-key.pem", c->key_path, err) < 0)
        return -1;
    /* Every authority in ca-cert.pem is trusted, root or not, as in GnuTLS. */
    X509_STORE_set_flags(SSL_CTX_get_cert_store(c->ctx), X509_V_FLAG_PARTIAL_CHAIN);
    if (load_authorities(c, err) < 0 || load_revocations(c, err) < 0)
        return -1;
    return load_own(c, err);
}
