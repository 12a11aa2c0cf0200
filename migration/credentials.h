/*
 * migration/credentials.h: from what was set about TLS to the credentials of one end.
 */
#pragma once

#include <stdbool.h>

#include "migration/settings.h"
#include "tls/tls_creds.h"
#include "transport/address.h"

struct credentials_config {
    bool server;                     /* of the destination */
    const struct settings *settings; /* tls-creds: a folder with certificates or keys.psk */
    const char *psk_file;            /* in place of tls-creds; NULL: not said */
    const char *username;            /* whose PSK; NULL: not said */
    const struct address *address;   /* of the migration */
};

/*
 * *ret is NULL where no TLS was asked for. A source checks the destination's certificate against
 * tls-hostname, or the host of the address. What `config` points to may go afterwards.
 */
MUST_USE int credentials_open(const struct credentials_config *config, struct tls_creds **ret,
                              struct error *err);
