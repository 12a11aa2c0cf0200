/*
 * tls/tls_creds.h: credentials: who we are and whom we trust. Loaded once, shared by all
 * connections.
 *
 * Format: QEMU's tls-creds-x509 and tls-creds-psk objects. A folder holds ca-cert.pem, ca-crl.pem
 * if there are revocations, and server-cert.pem with server-key.pem or client-cert.pem with
 * client-key.pem; QEMU's dh-params.pem is not read. Or a file holds pre-shared keys.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "tls/tls_config.h"

struct tls_creds;

/*
 * Called by a thread that is never joined, after it has closed its channels: frees what the TLS
 * library keeps for each thread, before the library is unloaded at the program's end.
 */
void tls_thread_done(void);
/* The name and version of the TLS library. */
const char *tls_library(void);

/*
 * Reads and checks the files: the dates, whether key and certificate belong together, whether an
 * authority has signed our certificate. An authority or a revocation list that cannot be used is no
 * error if the file has another one that can; see tls_creds_notice(). The texts of `config` are
 * copied. Fails with ERR_USAGE or ERR_SYSTEM, naming the file.
 * A client may lack a certificate; a server demands one from each client.
 */
MUST_USE int tls_creds_new(const struct tls_config *config, struct tls_creds **ret,
                           struct error *err);
/* Line `i` about what in the files is useless but harmless; NULL: there are no more lines. */
const char *tls_creds_notice(const struct tls_creds *c, size_t i);
/* NULL is fine. Until then any number of threads may use `c`. Its channels must be freed before. */
void tls_creds_free(struct tls_creds *c);
