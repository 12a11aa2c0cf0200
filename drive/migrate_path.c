#include "drive/migrate_path.h"

#include <stdio.h>
#include <string.h>

bool migrate_is_local(const struct address *monitor)
{
    if (monitor->scheme == ADDRESS_TCP)
        return strncmp(monitor->host, "127.", 4) == 0 || strcmp(monitor->host, "::1") == 0 ||
               strcmp(monitor->host, "localhost") == 0;
    return monitor->scheme == ADDRESS_UNIX || monitor->scheme == ADDRESS_FD;
}

/* Only an address that we can parse is given to a VM. */
static int check(const char *uri, struct error *err)
{
    struct address ignored;

    return address_parse_of(uri, ADDRESSES_MONITOR_SAYS, &ignored, err);
}

static int tcp_uri(const char *host, const char *port, char ret[static MIGRATE_URI_MAX],
                   struct error *err)
{
    const char *format = strchr(host, ':') && host[0] != '[' ? "tcp:[%s]:%s" : "tcp:%s:%s";
    int len = snprintf(ret, MIGRATE_URI_MAX, format, host, port);

    if (len < 0 || len >= MIGRATE_URI_MAX)
        return err_set(err, ERR_USAGE, "'%.60s': too long for the name of a host", host);
    return check(ret, err);
}

int migrate_listen_uri(const char *host, char ret[static MIGRATE_URI_MAX], struct error *err)
{
    return tcp_uri(host, "0", ret, err);
}

static int heard_tcp(const char *host, const char *port, bool local,
                     char ret[static MIGRATE_URI_MAX], struct error *err)
{
    bool v6 = strcmp(host, "::") == 0;

    if (!v6 && strcmp(host, "0.0.0.0") != 0)
        return tcp_uri(host, port, ret, err);
    if (!local)
        return err_set_with(
            err, ERR_USAGE, REMEDY_URI,
            "it listens at port %.20s of every interface; give the one that the other "
            "reaches",
            port);
    return tcp_uri(v6 ? "::1" : "127.0.0.1", port, ret, err);
}

int migrate_heard_uri(const json_t *socket_addresses, bool local, char ret[static MIGRATE_URI_MAX],
                      struct error *err)
{
    json_t *first = json_array_get(socket_addresses, 0);
    const char *type = "", *host = "", *port = "", *path = "", *cid = "";
    int len = 0;

    json_unpack(first, "{s?s, s?s, s?s, s?s, s?s}", "type", &type, "host", &host, "port", &port,
                "path", &path, "cid", &cid);
    if (strcmp(type, "inet") == 0)
        return heard_tcp(host, port, local, ret, err);
    if (strcmp(type, "unix") == 0)
        len = snprintf(ret, MIGRATE_URI_MAX, "unix:%s", path);
    else if (strcmp(type, "vsock") == 0)
        len = snprintf(ret, MIGRATE_URI_MAX, "vsock:%s:%s", cid, port);
    if (len <= 0 || len >= MIGRATE_URI_MAX)
        return err_set_with(err, ERR_PEER, REMEDY_URI, "it does not report where it listens");
    return check(ret, err);
}
