/*
 * tls/tls_config.h: what a caller says about credentials.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_config {
    bool server;          /* the migration's destination, whichever side listens */
    const char *dir;      /* X.509; or */
    const char *psk_file; /* pre-shared keys */
    const char *username; /* a client's identity with psk_file; NULL: "qemu" */
    /* For a client with dir: the name or IP address that the peer's certificate must be for. */
    const char *hostname;
    /* For a server with dir: the distinguished name that a client must have, as tls_cert_dn()
     * prints it, or an fnmatch(3) pattern for it. In a pattern a comma inside a value is \2C.
     * NULL: any name that an authority has signed. */
    const char *authz;
    /* Names what a peer without TLS speaks, by its first bytes: "a plain …"; returns NULL if that
     * is unknown. May be NULL. */
    const char *(*name_plain)(const uint8_t *bytes, size_t len);
    bool no_ktls;           /* encrypt here even if the kernel could */
    uint64_t rekey_records; /* how many are sent with one key; 0: as many as AES-GCM permits */
};
