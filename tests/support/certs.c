#include "tests/support/certs.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "tests/support/test.h"

#define DAY (24 * 60 * 60)

struct authority {
    EVP_PKEY *key;
    X509 *cert;
    struct authority *next;
};

static struct authority *authorities; /* all: they live until the program ends */

static EVP_PKEY *new_key(unsigned rsa_bits)
{
    EVP_PKEY *key = rsa_bits ? EVP_RSA_gen(rsa_bits) : EVP_EC_gen("P-256");

    CHECK(key, "a key");
    return key;
}

static void set_name(X509_NAME *name, const char *dn)
{
    char text[8192], *rest = text, *part;

    snprintf(text, sizeof(text), "%s", dn);
    while ((part = strsep(&rest, ","))) {
        char *value = strchr(part, '=');

        CHECK(value, "a part of a name without '=': %s", part);
        *value++ = 0;
        CHECK(X509_NAME_add_entry_by_txt(name, part, MBSTRING_UTF8, (const unsigned char *)value,
                                         -1, -1, 0),
              "name %s", dn);
    }
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    CHECK(extension, "extension %s", value);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *new_cert(const struct cert_spec *spec, EVP_PKEY *key)
{
    X509 *cert = X509_new();

    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), spec->serial ? spec->serial : 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), (long)spec->from_days * DAY - 60);
    X509_gmtime_adj(X509_getm_notAfter(cert),
                    (long)(spec->from_days + (spec->days ? spec->days : 1)) * DAY);
    X509_set_pubkey(cert, key);
    set_name(X509_get_subject_name(cert), spec->dn);
    return cert;
}

struct authority *authority_make(const struct authority_spec *spec)
{
    struct authority *a = calloc(1, sizeof(*a));
    char dn[128];

    snprintf(dn, sizeof(dn), "CN=%s", spec->common_name);
    a->key = spec->key ? spec->key->key : new_key(spec->rsa_bits);
    a->cert = new_cert(
        &(struct cert_spec){
            .dn = dn, .serial = 1000, .from_days = spec->from_days, .days = spec->days},
        a->key);
    X509_set_issuer_name(a->cert, X509_get_subject_name(a->cert));
    add_extension(a->cert, NID_basic_constraints, spec->basic ? spec->basic : "critical,CA:TRUE");
    add_extension(a->cert, NID_key_usage,
                  spec->usage ? spec->usage : "critical,keyCertSign,cRLSign");
    CHECK(X509_sign(a->cert, a->key, EVP_sha256()), "sign");
    a->next = authorities;
    authorities = a;
    return a;
}

struct authority *authority_new(const char *common_name)
{
    return authority_make(&(struct authority_spec){.common_name = common_name});
}

static FILE *create(const char *dir, const char *role, const char *what, const char *mode)
{
    char path[PATH_MAX];

    mkdir(dir, 0700);
    snprintf(path, sizeof(path), "%s/%s-%s.pem", dir, role, what);
    FILE *f = fopen(path, mode);
    CHECK(f, "%s: cannot be written", path);
    return f;
}

static void write_cert(X509 *cert, const char *dir, const char *role, const char *mode)
{
    FILE *f = create(dir, role, "cert", mode);

    CHECK(PEM_write_X509(f, cert), "write a certificate");
    fclose(f);
}

void authority_install(const struct authority *a, const char *dir)
{
    write_cert(a->cert, dir, "ca", "we");
}

void authority_add(const struct authority *a, const char *dir)
{
    write_cert(a->cert, dir, "ca", "ae");
}

void cert_chain_add(const struct authority *a, const char *dir, const char *role)
{
    write_cert(a->cert, dir, role, "ae");
}

static void write_key(EVP_PKEY *key, bool encrypted, const char *dir, const char *role)
{
    const EVP_CIPHER *cipher = encrypted ? EVP_aes_128_cbc() : NULL;
    FILE *f = create(dir, role, "key", "we");

    CHECK(PEM_write_PrivateKey(f, key, cipher, (const unsigned char *)"secret", 6, NULL, NULL),
          "write a key");
    fclose(f);
}

void cert_install(const struct authority *a, const struct cert_spec *spec, const char *dir,
                  const char *role)
{
    EVP_PKEY *key = new_key(spec->rsa_bits);
    X509 *cert = new_cert(spec, key);

    X509_set_issuer_name(cert, X509_get_subject_name(a->cert));
    add_extension(cert, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(cert, NID_key_usage, "critical,digitalSignature");
    if (spec->usage)
        add_extension(cert, NID_ext_key_usage, spec->usage);
    if (spec->san)
        add_extension(cert, NID_subject_alt_name, spec->san);
    CHECK(X509_sign(cert, a->key, EVP_sha256()), "sign");
    write_cert(cert, dir, role, "we");
    write_key(key, spec->encrypted, dir, role);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void add_revoked(X509_CRL *crl, unsigned long serial)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, 0);

    ASN1_INTEGER_set_uint64(number, serial);
    X509_REVOKED_set_serialNumber(entry, number);
    X509_REVOKED_set_revocationDate(entry, now);
    CHECK(X509_CRL_add0_revoked(crl, entry), "revoke"); /* takes the entry */
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(now);
}

static void write_list(const struct authority *a, unsigned long serial, const char *dir,
                       const char *mode)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *last = X509_gmtime_adj(NULL, -60), *next = X509_gmtime_adj(NULL, DAY);

    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(a->cert));
    X509_CRL_set1_lastUpdate(crl, last);
    X509_CRL_set1_nextUpdate(crl, next);
    add_revoked(crl, serial);
    CHECK(X509_CRL_sign(crl, a->key, EVP_sha256()), "sign");
    FILE *f = create(dir, "ca", "crl", mode);
    CHECK(PEM_write_X509_CRL(f, crl), "write a list");
    fclose(f);
    ASN1_TIME_free(last);
    ASN1_TIME_free(next);
    X509_CRL_free(crl);
}

void revocation_install(const struct authority *a, unsigned long serial, const char *dir)
{
    write_list(a, serial, dir, "we");
}

void revocation_add(const struct authority *a, unsigned long serial, const char *dir)
{
    write_list(a, serial, dir, "ae");
}
