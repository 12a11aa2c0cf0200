/*
 * tls/tls_cert.h: certificates as text for people: names, dates, and why a certificate is refused.
 * For tls/ only.
 */
#pragma once

#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define TLS_DN_MAX 4096 /* bytes of text, more than --tls-authz can be long */

/* What a certificate is checked against, for the text of a refusal; NULL if there is none. */
struct tls_trust {
    const char *ca_path, *crl_path, *hostname;
    STACK_OF(X509) * others; /* the certificates in ca_path that are no authorities */
};

/*
 * The distinguished name as gnutls_x509_crt_get_dn() prints it, which QEMU's authorization objects
 * compare: RFC 4514's form, but in the certificate's own order (usually "C=GB,O=x,CN=client"), and
 * with UTF-8 not escaped. False: it is empty, or does not fit and is cut; do not trust it then.
 */
bool tls_cert_dn(X509 *cert, char ret[static TLS_DN_MAX]);
/* Whether the reason of a refusal is a missing authority: that concerns the whole chain. */
bool tls_cert_lacks_authority(int code);
/*
 * Writes why `cert` is refused for `code`, an X509_V_ERR_x: "(CN=host) expired on 2026-01-31
 * 12:00:00 UTC". This is the end of a sentence; the caller's part before it says whose certificate
 * it is. Returns the remedy for such an error.
 */
enum remedy tls_cert_explain(X509 *cert, int code, const struct tls_trust *trust, char *ret,
                             size_t ret_len);
