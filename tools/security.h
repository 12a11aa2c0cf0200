/*
 * tools/security.h: from what the user said about TLS to the credentials of one end.
 */
#pragma once

#include "base/error.h"
#include "tls/tls_creds.h"
#include "tools/options.h"
#include "transport/address.h"

/*
 * *ret is NULL where no TLS was asked for. A source checks the destination's certificate against
 * --tls-hostname, or the host of the address.
 */
MUST_USE int security_open(enum verb_bit verb, const struct options *options,
                           const struct address *address, struct tls_creds **ret,
                           struct error *err);
