/*
 * tls/psk_keys.h: a file of pre-shared keys, in the format of QEMU's tls-creds-psk and GnuTLS'
 * psktool: lines "user:hexkey", '#' comments, blank lines. It does not know what the keys are for.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define PSK_USER_MAX 128 /* bytes: the longest identity that GnuTLS takes */
#define PSK_KEY_MAX  256 /* bytes: the longest key that TLS 1.2 takes in OpenSSL */

struct psk_key {
    char user[PSK_USER_MAX + 1];
    uint8_t key[PSK_KEY_MAX];
    size_t key_len;
};

struct psk_keys {
    struct psk_key *keys;
    size_t n;
};

/* Fails with ERR_USAGE, naming file and line, or with ERR_SYSTEM. Refuses a file without keys. */
MUST_USE int psk_keys_load(const char *path, struct psk_keys *ret, struct error *err);
/* The same for the bytes of a file; `name` is for the error. */
MUST_USE int psk_keys_parse(const char *name, const char *bytes, size_t len, struct psk_keys *ret,
                            struct error *err);
/* NULL: there is no such user. */
const struct psk_key *psk_keys_find(const struct psk_keys *k, const char *user);
/* Overwrites the keys. Zeroed is fine. */
void psk_keys_done(struct psk_keys *k);
