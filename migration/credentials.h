/*
 * migration/credentials.h: makes the TLS credentials of one end from its settings.
 */
#pragma once

#include <stdbool.h>

#include "settings/settings.h"
#include "tls/tls_creds.h"
#include "transport/address.h"

struct credentials_config {
    bool server;                     /* for the destination */
    const struct settings *settings; /* tls-creds: a folder with certificates or keys.psk */
    const char *psk_file;            /* in place of tls-creds; NULL: not set */
    const char *username;            /* the user whose PSK it is; NULL: not set */
    const struct address *address;   /* the migration's address */
};

/*
 * *ret is NULL where no TLS was asked for. A source checks the destination's certificate against
 * tls-hostname or, where that is not set, the host of the address. What `config` points to may be
 * freed afterwards.
 */
MUST_USE int credentials_open(const struct credentials_config *config, struct tls_creds **ret,
                              struct error *err);
