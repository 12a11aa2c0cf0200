/*
 * tls/tls_creds.h: who we are and whom we trust, loaded once and shared by all connections.
 *
 * Format: QEMU's tls-creds-x509 and tls-creds-psk objects. A folder holds ca-cert.pem, ca-crl.pem
 * where there are revocations, and server-cert.pem with server-key.pem or client-cert.pem with
 * client-key.pem; QEMU's dh-params.pem is not read. Or a file holds pre-shared keys.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tls_config {
    bool server;          /* the migration's destination, whichever side listens */
    const char *dir;      /* X.509; or */
    const char *psk_file; /* pre-shared keys */
    const char *username; /* a client's identity with psk_file; NULL: "qemu" */
    /* A client's, with dir: the name or IP address that the peer's certificate must be for. */
    const char *hostname;
    /* A server's, with dir: the client's distinguished name, see tls_cert_dn(); exactly this, or
     * matching it as a pattern of fnmatch(3), to which a comma inside a value is \2C. NULL: any
     * that the authority has signed. */
    const char *authz;
    /* What a peer without TLS speaks by its first bytes, "a plain …", or NULL where that is
     * unknown. NULL: nobody knows. */
    const char *(*name_plain)(const uint8_t *bytes, size_t len);
    bool no_ktls;           /* encrypt here even where the kernel could */
    uint64_t rekey_records; /* sent with one key; 0: as many as AES-GCM bears */
};

struct tls_creds;

/*
 * By a thread that nobody joins, when it has closed its channels: gives up what the library keeps
 * for each thread, before the program's end takes the library away.
 */
void tls_thread_done(void);
/* The library below, with its version. */
const char *tls_library(void);

/*
 * Reads and checks the files: dates, that keys and certificates belong together, that an authority
 * has signed ours. An authority or a revocation list that our chain does not use may be what it
 * wants, as long as there is one that can be used; see tls_creds_notice(). What `config` points to
 * may go afterwards. Fails with ERR_USAGE or ERR_SYSTEM, naming the file.
 * A client may lack a certificate; a server demands one from each client.
 */
MUST_USE int tls_creds_new(const struct tls_config *config, struct tls_creds **ret,
                           struct error *err);
/* What was found in the files that is of no use and does no harm, line by line; NULL: no more. */
const char *tls_creds_notice(const struct tls_creds *c, size_t i);
/* Any number of threads may use it until then, and channels made of it do not outlive it. */
void tls_creds_free(struct tls_creds *c);
