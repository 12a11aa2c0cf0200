#include "tools/security.h"

#include "migration/credentials.h"

int security_open(enum verb_bit verb, const struct options *options, const struct address *address,
                  struct tls_creds **ret, struct error *err)
{
    const struct credentials_config config = {
        .server = verb == VERB_RECV,
        .settings = &options->settings,
        .psk_file = options->tls_psk,
        .username = options->tls_username,
        .address = address,
    };

    return credentials_open(&config, ret, err);
}
