#include "tools/security.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* QEMU's tls-creds-psk has a folder, too: with one file in it. */
static bool holds_keys(const char *dir, char ret_keys[static PATH_MAX])
{
    char ca[PATH_MAX];

    snprintf(ca, sizeof(ca), "%s/ca-cert.pem", dir);
    snprintf(ret_keys, PATH_MAX, "%s/keys.psk", dir);
    return access(ca, F_OK) < 0 && access(ret_keys, F_OK) == 0;
}

int security_open(enum verb_bit verb, const struct options *options, const struct address *address,
                  struct tls_creds **ret, struct error *err)
{
    const char *dir = settings_text(&options->settings, PARAM_TLS_CREDS);
    const char *hostname = settings_text(&options->settings, PARAM_TLS_HOSTNAME);
    const char *authz = settings_text(&options->settings, PARAM_TLS_AUTHZ);
    char keys[PATH_MAX];
    struct tls_config config = {
        .server = verb == VERB_RECV,
        .dir = dir[0] ? dir : NULL,
        .psk_file = options->tls_psk,
        .username = options->tls_username,
        .hostname = hostname[0] ? hostname : address->host,
        .authz = authz[0] ? authz : NULL,
    };

    *ret = NULL;
    if (config.dir && holds_keys(config.dir, keys)) {
        config.dir = NULL;
        config.psk_file = keys;
    }
    if (!config.dir && !config.psk_file)
        return 0;
    if (config.dir && options->tls_username)
        return err_set(err, ERR_USAGE, "--tls-username is about PSKs: %s holds certificates", dir);
    if (config.psk_file && (hostname[0] || config.authz))
        return err_set(err, ERR_USAGE, "%s is about certificates: %s holds PSKs",
                       hostname[0] ? "tls-hostname" : "tls-authz", config.psk_file);
    if (verb == VERB_SEND && config.dir && !config.hostname[0])
        return err_set(err, ERR_USAGE,
                       "%s names no host: give the one in the destination's certificate, "
                       "--tls-hostname",
                       address->text);
    return tls_creds_new(&config, ret, err);
}
