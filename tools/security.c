#include "tools/security.h"

int security_open(enum verb_bit verb, const struct options *options, const struct address *address,
                  struct tls_creds **ret, struct error *err)
{
    const char *dir = settings_text(&options->settings, PARAM_TLS_CREDS);
    const char *hostname = settings_text(&options->settings, PARAM_TLS_HOSTNAME);
    const char *authz = settings_text(&options->settings, PARAM_TLS_AUTHZ);
    struct tls_config config = {
        .server = verb == VERB_RECV,
        .dir = dir[0] ? dir : NULL,
        .psk_file = options->tls_psk,
        .username = options->tls_username,
        .hostname = hostname[0] ? hostname : address->host,
        .authz = authz[0] ? authz : NULL,
    };

    *ret = NULL;
    if (!config.dir && !config.psk_file)
        return 0;
    if (verb == VERB_SEND && config.dir && !config.hostname[0])
        return err_set(err, ERR_USAGE,
                       "%s names no host: give the one in the destination's certificate, "
                       "--tls-hostname",
                       address->text);
    return tls_creds_new(&config, ret, err);
}
