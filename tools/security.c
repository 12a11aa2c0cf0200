#include "tools/security.h"

#include "migration/credentials.h"
#include "tools/notice.h"

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
    const char *words;
    for (size_t i = 0; *ret && (words = tls_creds_notice(*ret, i)); i++)
        notice("%s", words);
    return 0;
}
