#include "tls/tls_cert.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/macros.h"

/* --- names ------------------------------------------------------------------------------------ */

/* Attributes whose short name in OpenSSL is not the one that GnuTLS prints. */
static const struct {
    int nid;
    const char *name;
} gnutls_names[] = {
    {NID_pkcs9_emailAddress, "EMAIL"},
    {NID_surname, "surName"},
    {NID_givenName, "givenName"},
};

static const char *attribute_name(const ASN1_OBJECT *object, char *dotted, size_t len)
{
    int nid = OBJ_obj2nid(object);

    for (size_t i = 0; i < ARRAY_LEN(gnutls_names); i++) {
        if (gnutls_names[i].nid == nid)
            return gnutls_names[i].name;
    }
    if (nid != NID_undef)
        return OBJ_nid2sn(nid);
    OBJ_obj2txt(dotted, (int)len, object, 1);
    return dotted;
}

/* Moves the BIO's text to `ret` and frees the BIO. False: the text did not fit and is cut. */
static bool bio_text(BIO *bio, char *ret, size_t ret_len)
{
    int len = BIO_read(bio, ret, (int)ret_len - 1);
    bool whole = BIO_pending(bio) == 0;

    ret[len > 0 ? len : 0] = 0;
    BIO_free(bio);
    return whole;
}

bool tls_cert_dn(X509 *cert, char ret[static TLS_DN_MAX])
{
    const X509_NAME *name = X509_get_subject_name(cert);
    BIO *bio = BIO_new(BIO_s_mem());
    int set = -1;

    ret[0] = 0;
    if (!bio)
        return false;
    for (int i = 0; i < X509_NAME_entry_count(name); i++) {
        const X509_NAME_ENTRY *e = X509_NAME_get_entry(name, i);
        char dotted[80];

        if (i > 0)
            BIO_puts(bio, X509_NAME_ENTRY_set(e) == set ? "+" : ",");
        set = X509_NAME_ENTRY_set(e);
        BIO_printf(bio,
                   "%s=", attribute_name(X509_NAME_ENTRY_get_object(e), dotted, sizeof(dotted)));
        ASN1_STRING_print_ex(bio, X509_NAME_ENTRY_get_data(e),
                             ASN1_STRFLGS_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    }
    return bio_text(bio, ret, TLS_DN_MAX) && strlen(ret) > 0;
}

/* --- why a certificate is refused ------------------------------------------------------------- */

static void print_time(const ASN1_TIME *when, char *ret, size_t ret_len)
{
    struct tm tm;

    if (!ASN1_TIME_to_tm(when, &tm) || !strftime(ret, ret_len, "%Y-%m-%d %H:%M:%S UTC", &tm))
        snprintf(ret, ret_len, "an unreadable date");
}

static const char *address_text(const ASN1_STRING *ip, char *ret, size_t ret_len)
{
    int family = ASN1_STRING_length(ip) == 4    ? AF_INET
                 : ASN1_STRING_length(ip) == 16 ? AF_INET6
                                                : AF_UNSPEC;

    return inet_ntop(family, ASN1_STRING_get0_data(ip), ret, (socklen_t)ret_len) ? ret : "?";
}

static bool is_address(const char *host)
{
    uint8_t bytes[16];

    return host && (inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1);
}

/* Prints the hosts that a certificate is for. An IP address counts only if it is listed as an
 * address, so a DNS name is marked as one if `host` is an address. */
static void print_alt_names(const GENERAL_NAMES *names, const char *host, BIO *bio)
{
    const char *separator = "";

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char ip[INET6_ADDRSTRLEN];

        if (name->type == GEN_DNS)
            BIO_printf(bio, "%s%s%.*s", separator, is_address(host) ? "the DNS name " : "",
                       ASN1_STRING_length(name->d.dNSName),
                       (const char *)ASN1_STRING_get0_data(name->d.dNSName));
        else if (name->type == GEN_IPADD)
            BIO_printf(bio, "%s%s", separator, address_text(name->d.iPAddress, ip, sizeof(ip)));
        separator = ", ";
    }
}

/* A certificate without alternative names may still have a host as its common name. */
static void print_names(X509 *cert, const char *host, char *ret, size_t ret_len)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    BIO *bio = BIO_new(BIO_s_mem());

    snprintf(ret, ret_len, "no host");
    if (names && bio) {
        print_alt_names(names, host, bio);
        (void)bio_text(bio, ret, ret_len);
    } else {
        size_t len = is_address(host) ? (size_t)snprintf(ret, ret_len, "the common name ") : 0;

        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, ret + len,
                                  (int)(ret_len - len));
        BIO_free(bio);
    }
    GENERAL_NAMES_free(names);
}

enum measure { NOTHING, NOT_AFTER, NOT_BEFORE, CA_FILE, CRL_FILE, NAMES, KEY, SIGNATURE };

static const struct verdict {
    int code;
    const char *text;
    enum measure by;
} verdicts[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, "expired on", NOT_AFTER},
    {X509_V_ERR_CERT_NOT_YET_VALID, "is not valid before", NOT_BEFORE},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "is of no authority in", CA_FILE},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "is of no authority in", CA_FILE},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "is of no authority in", CA_FILE},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "is signed by itself, by no authority in", CA_FILE},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "is of no authority in", CA_FILE},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE, "is not signed by the authority of this name in", CA_FILE},
    {X509_V_ERR_CERT_REVOKED, "is revoked by", CRL_FILE},
    {X509_V_ERR_CRL_HAS_EXPIRED, "cannot be checked: out of date is", CRL_FILE},
    {X509_V_ERR_CRL_NOT_YET_VALID, "cannot be checked: not yet valid is", CRL_FILE},
    {X509_V_ERR_HOSTNAME_MISMATCH, "is for", NAMES},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, "is for", NAMES},
    {X509_V_ERR_EE_KEY_TOO_SMALL, "has a key that is too small for this host's OpenSSL:", KEY},
    {X509_V_ERR_CA_KEY_TOO_SMALL, "has a key that is too small for this host's OpenSSL:", KEY},
    {X509_V_ERR_CA_MD_TOO_WEAK,
     "has a signature that is too weak for this host's OpenSSL:", SIGNATURE},
    {X509_V_ERR_INVALID_CA,
     "is no authority (invalid CA certificate): it may not sign others (basicConstraints CA:TRUE, "
     "keyUsage keyCertSign)",
     NOTHING},
    {X509_V_ERR_INVALID_PURPOSE, "is not meant for this side of TLS (extended key usage)", NOTHING},
    {X509_V_ERR_CERT_REJECTED, "is not allowed", NOTHING},
};

static struct verdict verdict_of(int code)
{
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        if (verdicts[i].code == code)
            return verdicts[i];
    }
    return (struct verdict){code, X509_verify_cert_error_string(code), NOTHING};
}

bool tls_cert_lacks_authority(int code)
{
    return verdict_of(code).by == CA_FILE;
}

static void print_key(X509 *cert, char *ret, size_t ret_len)
{
    const EVP_PKEY *key = X509_get0_pubkey(cert);
    const char *kind = key ? EVP_PKEY_get0_type_name(key) : NULL;

    snprintf(ret, ret_len, "%s, %d bits", kind ? kind : "of an unknown kind",
             key ? EVP_PKEY_get_bits(key) : 0);
}

/* Whether the issuer has the name of a certificate in the CA file that is no authority. */
static bool is_by_other(X509 *cert, const struct tls_trust *trust)
{
    for (int i = 0; i < sk_X509_num(trust->others); i++) {
        if (X509_NAME_cmp(X509_get_subject_name(sk_X509_value(trust->others, i)),
                          X509_get_issuer_name(cert)) == 0)
            return true;
    }
    return false;
}

static void print_measure(X509 *cert, enum measure by, const struct tls_trust *trust, char *ret,
                          size_t ret_len)
{
    char names[160];

    ret[0] = 0;
    switch (by) {
    case NOTHING:
        break;
    case NOT_AFTER:
        print_time(X509_get0_notAfter(cert), ret, ret_len);
        break;
    case NOT_BEFORE:
        print_time(X509_get0_notBefore(cert), ret, ret_len);
        break;
    case CA_FILE:
        snprintf(ret, ret_len, "%s%s", trust->ca_path,
                 is_by_other(cert, trust) ? ": what is there by that name is none (CA:TRUE, "
                                            "keyCertSign)"
                                          : "");
        break;
    case CRL_FILE:
        snprintf(ret, ret_len, "%s", trust->crl_path);
        break;
    case NAMES:
        print_names(cert, trust->hostname, names, sizeof(names));
        snprintf(ret, ret_len,
                 is_address(trust->hostname) ? "%s, not for the IP address %s" : "%s, not for '%s'",
                 names, trust->hostname);
        break;
    case KEY:
        print_key(cert, ret, ret_len);
        break;
    case SIGNATURE:
        snprintf(ret, ret_len, "%s", OBJ_nid2ln(X509_get_signature_nid(cert)));
        break;
    }
}

static enum remedy remedy_of(int code, const struct tls_trust *trust)
{
    switch (code) {
    case X509_V_ERR_CERT_REJECTED:
        return REMEDY_TLS_AUTHZ;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return is_address(trust->hostname) ? REMEDY_TLS_HOSTNAME_OR_IP : REMEDY_TLS_HOSTNAME;
    default:
        return REMEDY_NONE;
    }
}

enum remedy tls_cert_explain(X509 *cert, int code, const struct tls_trust *trust, char *ret,
                             size_t ret_len)
{
    struct verdict v = verdict_of(code);
    char dn[TLS_DN_MAX], measure[320];

    (void)tls_cert_dn(cert, dn); /* a part of it is enough for a message */
    print_measure(cert, v.by, trust, measure, sizeof(measure));
    snprintf(ret, ret_len, "(%.160s) %s%s%s", dn, v.text, measure[0] ? " " : "", measure);
    return remedy_of(code, trust);
}
