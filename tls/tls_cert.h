/*
 * tls/tls_cert.h: certificates as people read them: names, dates, and why one is refused.
 * For tls/ only.
 */
#pragma once

#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define TLS_DN_MAX 4096 /* bytes of text, more than --tls-authz can be long */

/* What the refusal of a certificate is measured by, for its text; NULL where there is none. */
struct tls_trust {
    const char *ca_path, *crl_path, *hostname;
    STACK_OF(X509) * others; /* of ca_path, what is no authority */
};

/*
 * The distinguished name as gnutls_x509_crt_get_dn() prints it, which is what QEMU's authorization
 * objects compare: RFC 4514's form, but in the certificate's own order ("C=GB,O=x,CN=client" of
 * most), UTF-8 as it is. False where it is longer: then it is cut, and must not be trusted.
 */
bool tls_cert_dn(X509 *cert, char ret[static TLS_DN_MAX]);
/* Whether the refusal is for want of an authority: it concerns the chain as a whole. */
bool tls_cert_lacks_authority(int code);
/*
 * Why `cert` is refused, `code` being X509_V_ERR_x, as the end of a sentence that starts with whose
 * it is: "(CN=host) expired on 2026-01-31 12:00:00 UTC". Returns the remedy of an error that ends
 * so.
 */
enum remedy tls_cert_explain(X509 *cert, int code, const struct tls_trust *trust, char *ret,
                             size_t ret_len);
