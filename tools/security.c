#include "tools/security.h"

#include "migration/credentials.h"
#include "tools/line.h"

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

    if (credentials_open(&config, ret, err) < 0)
        return -1;
    const char *notice;
    for (size_t i = 0; *ret && (notice = tls_creds_notice(*ret, i)); i++)
        line_print(stderr, "ramjet %s: %s", verb == VERB_RECV ? "recv" : "send", notice);
    return 0;
}
