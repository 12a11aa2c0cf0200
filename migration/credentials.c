#include "migration/credentials.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "multifd/packet.h"
#include "stream/stream_format.h"

/* For QEMU's tls-creds-psk the setting is a folder, too, with keys.psk in it and no
 * certificates. */
static bool holds_keys(const char *dir, char ret_keys[static PATH_MAX])
{
    char ca[PATH_MAX];

    snprintf(ca, sizeof(ca), "%s/ca-cert.pem", dir);
    snprintf(ret_keys, PATH_MAX, "%s/keys.psk", dir);
    return access(ca, F_OK) < 0 && access(ret_keys, F_OK) == 0;
}

/* Names a migration stream that came without TLS where TLS was expected. NULL: it is something
 * else. */
static const char *name_plain(const uint8_t *bytes, size_t len)
{
    struct reader r = reader_of(bytes, MIN(len, sizeof(uint32_t)));
    uint32_t magic = get_u32(&r);

    if (len < sizeof(magic) || (magic != STREAM_MAGIC && magic != MULTIFD_MAGIC))
        return NULL;
    return "a plain QEMU migration stream";
}

int credentials_open(const struct credentials_config *config, struct tls_creds **ret,
                     struct error *err)
{
    const char *dir = settings_text(config->settings, PARAM_TLS_CREDS);
    const char *hostname = settings_text(config->settings, PARAM_TLS_HOSTNAME);
    const char *authz = settings_text(config->settings, PARAM_TLS_AUTHZ);
    char keys[PATH_MAX];
    struct tls_config tls = {
        .server = config->server,
        .dir = dir[0] ? dir : NULL,
        .psk_file = config->psk_file,
        .username = config->username,
        .hostname = hostname[0] ? hostname : config->address->host,
        .authz = authz[0] ? authz : NULL,
        .name_plain = name_plain,
    };

    *ret = NULL;
    if (tls.dir && holds_keys(tls.dir, keys)) {
        tls.dir = NULL;
        tls.psk_file = keys;
    }
    if (!tls.dir && !tls.psk_file)
        return 0;
    if (tls.dir && config->username)
        return err_set_with(err, ERR_USAGE, REMEDY_TLS_USERNAME,
                            "a user name is for PSKs: %s contains certificates", dir);
    if (tls.psk_file && (hostname[0] || tls.authz))
        return err_set(err, ERR_USAGE, "%s is for certificates: %s contains PSKs",
                       hostname[0] ? "tls-hostname" : "tls-authz", tls.psk_file);
    if (!config->server && tls.dir && !tls.hostname[0])
        return err_set(err, ERR_USAGE,
                       "%s names no host: give the one in the destination's certificate, "
                       "tls-hostname",
                       config->address->text);
    return tls_creds_new(&tls, ret, err);
}
