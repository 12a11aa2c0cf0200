/*
 * tests/support/certs.h: certificates for tests, made when they are needed: folders with QEMU's
 * file names, in the test's temporary folder.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "tests/support/temp.h"

/* An authority. It lives until the program ends. */
struct authority;
struct authority *authority_new(const char *common_name);
struct authority_spec {
    const char *common_name;
    int from_days, days;         /* as below */
    const char *basic, *usage;   /* basicConstraints and keyUsage; NULL: an authority's */
    const struct authority *key; /* the authority whose key it shares; NULL: its own key */
    unsigned rsa_bits;           /* as below */
};
struct authority *authority_make(const struct authority_spec *spec);

struct cert_spec {
    const char *dn;       /* "C=GB,O=x,CN=y", in this order */
    const char *san;      /* "DNS:host,IP:127.0.0.1", or NULL */
    int from_days, days;  /* valid from today + from_days, for so long; 0, 0: for a day */
    const char *usage;    /* extended key usage, such as "serverAuth"; NULL: any */
    unsigned long serial; /* 0: 1 */
    unsigned rsa_bits;    /* 0: an elliptic-curve key, P-256 */
    bool encrypted;       /* the key file has a passphrase */
};

/* Writes DIR/ca-cert.pem; makes DIR if it does not exist. */
void authority_install(const struct authority *a, const char *dir);
/* Appends to that file. */
void authority_add(const struct authority *a, const char *dir);
/* Writes DIR/ROLE-cert.pem and DIR/ROLE-key.pem, signed by `a`. */
void cert_install(const struct authority *a, const struct cert_spec *spec, const char *dir,
                  const char *role);
/* Appends the authority's certificate to DIR/ROLE-cert.pem: the next one of the chain. */
void cert_chain_add(const struct authority *a, const char *dir, const char *role);
/* Writes DIR/ca-crl.pem, which revokes this serial number. */
void revocation_install(const struct authority *a, unsigned long serial, const char *dir);
/* Appends to that file. */
void revocation_add(const struct authority *a, unsigned long serial, const char *dir);
