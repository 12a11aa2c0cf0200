/*
 * tools/security.h: makes the TLS credentials of one end from the user's options.
 */
#pragma once

#include "base/error.h"
#include "tls/tls_creds.h"
#include "tools/options.h"
#include "transport/address.h"

/*
 * *ret is NULL if no TLS was asked for. A source checks the destination's certificate against
 * --tls-hostname, or else the host of the address.
 */
MUST_USE int security_open(enum verb_bit verb, const struct options *options,
                           const struct address *address, struct tls_creds **ret,
                           struct error *err);
