#include "control/address_json.h"

#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "control/qmp_command.h"

/* --- in -------------------------------------------------------------------------------------- */

static const struct qmp_argument inet_members[] = {{"transport", QMP_STRING, false},
                                                   {"type", QMP_STRING, false},
                                                   {"host", QMP_STRING, false},
                                                   {"port", QMP_STRING, false}};
static const struct qmp_argument unix_members[] = {
    {"transport", QMP_STRING, false}, {"type", QMP_STRING, false}, {"path", QMP_STRING, false}};
static const struct qmp_argument vsock_members[] = {{"transport", QMP_STRING, false},
                                                    {"type", QMP_STRING, false},
                                                    {"cid", QMP_STRING, false},
                                                    {"port", QMP_STRING, false}};

static const struct qmp_argument file_members[] = {{"transport", QMP_STRING, false},
                                                   {"filename", QMP_STRING, false},
                                                   {"offset", QMP_INTEGER, false}};

/* The types of sockets, and the URI of each. */
static const struct {
    const char *type;
    const struct qmp_argument *members;
    size_t n;
    const char *prefix, *first, *second; /* PREFIX:FIRST[:SECOND] */
} sockets[] = {
    {"inet", inet_members, ARRAY_LEN(inet_members), "tcp", "host", "port"},
    {"unix", unix_members, ARRAY_LEN(unix_members), "unix", "path", NULL},
    {"vsock", vsock_members, ARRAY_LEN(vsock_members), "vsock", "cid", "port"},
};

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = member ? json_string_value(json_object_get(object, member)) : NULL;

    return text ? text : "";
}

/* An IPv6 address has brackets in a URI, and none in JSON. */
static int uri_of(const json_t *addr, size_t i, char *ret, size_t room, struct error *err)
{
    const char *first = text_of(addr, sockets[i].first), *second = text_of(addr, sockets[i].second);
    bool bracket = strcmp(sockets[i].prefix, "tcp") == 0 && strchr(first, ':');
    int len = snprintf(ret, room, "%s:%s%s%s%s%s", sockets[i].prefix, bracket ? "[" : "", first,
                       bracket ? "]" : "", sockets[i].second ? ":" : "", second);

    if (len < 0 || (size_t)len >= room)
        return err_set(err, ERR_USAGE, "Parameter 'addr': %s is too long", sockets[i].first);
    return 0;
}

static int read_socket(const json_t *addr, struct address *ret, struct error *err)
{
    const char *type = text_of(addr, "type");
    char uri[sizeof(ret->text)];

    for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
        if (strcmp(type, sockets[i].type) != 0)
            continue;
        if (qmp_check(addr, sockets[i].members, sockets[i].n, err) < 0 ||
            uri_of(addr, i, uri, sizeof(uri), err) < 0)
            return -1;
        return address_parse(uri, ret, err);
    }
    return err_set(err, ERR_USAGE, "Parameter 'type': '%.40s': expected inet, unix or vsock", type);
}

/* address_parse() refuses a file name that contains a URI's word for the offset. */
static int read_file(const json_t *addr, struct address *ret, struct error *err)
{
    char uri[sizeof(ret->text)];

    if (qmp_check(addr, file_members, ARRAY_LEN(file_members), err) < 0)
        return -1;
    json_int_t offset = json_integer_value(json_object_get(addr, "offset"));
    if (offset < 0)
        return err_set(err, ERR_USAGE, "Parameter 'offset': %lld: expected 0 or more",
                       (long long)offset);
    int len = snprintf(uri, sizeof(uri), "file:%s,offset=%lld", text_of(addr, "filename"),
                       (long long)offset);
    if (len < 0 || (size_t)len >= sizeof(uri))
        return err_set(err, ERR_USAGE, "Parameter 'addr': filename is too long");
    return address_parse(uri, ret, err);
}

static const struct {
    const char *transport;
    int (*read)(const json_t *addr, struct address *ret, struct error *err);
} transports[] = {{"socket", read_socket}, {"file", read_file}};

static int read_addr(const json_t *addr, struct address *ret, struct error *err)
{
    const char *transport = text_of(addr, "transport");

    for (size_t i = 0; i < ARRAY_LEN(transports); i++) {
        if (strcmp(transport, transports[i].transport) == 0)
            return transports[i].read(addr, ret, err);
    }
    return err_set(err, ERR_USAGE, "Parameter 'transport': '%.40s': expected socket or file",
                   transport);
}

static const struct qmp_argument channel_members[] = {{"channel-type", QMP_STRING, false},
                                                      {"addr", QMP_OBJECT, false}};

static const char *const channel_types[] = {"main", "cpr"};
#define CHANNEL_TYPES ARRAY_LEN(channel_types)

static int read_channel(const json_t *channel, struct address ret[static CHANNEL_TYPES],
                        unsigned n[static CHANNEL_TYPES], struct error *err)
{
    if (!json_is_object(channel))
        return err_set(err, ERR_USAGE, "Parameter 'channels' expects objects in its list");
    if (qmp_check(channel, channel_members, ARRAY_LEN(channel_members), err) < 0)
        return -1;
    const char *type = text_of(channel, "channel-type");
    for (size_t i = 0; i < CHANNEL_TYPES; i++) {
        if (strcmp(type, channel_types[i]) != 0)
            continue;
        n[i]++;
        return read_addr(json_object_get(channel, "addr"), &ret[i], err);
    }
    return err_set(err, ERR_USAGE, "Parameter 'channel-type': '%.40s': expected main or cpr", type);
}

/* At most one channel of each type; with more, no channel counts as there. */
static int read_channels(const json_t *list, struct address ret[static CHANNEL_TYPES],
                         bool ret_there[static CHANNEL_TYPES], struct error *err)
{
    unsigned n[CHANNEL_TYPES] = {0};
    bool good = json_array_size(list) <= CHANNEL_TYPES;

    for (size_t i = 0; good && i < json_array_size(list); i++) {
        if (read_channel(json_array_get(list, i), ret, n, err) < 0)
            return -1;
        good = n[0] <= 1 && n[1] <= 1;
    }
    for (size_t i = 0; i < CHANNEL_TYPES; i++)
        ret_there[i] = good && n[i] == 1;
    return 0;
}

static int read_uri(const char *uri, struct address *ret, struct error *err)
{
    struct address a;

    if (address_parse(uri, &a, err) == 0 && a.scheme == ADDRESS_FD)
        return err_set(err, ERR_USAGE,
                       "%s: a monitor names no descriptors; use tcp, unix, vsock or file", a.text);
    return address_parse_of(uri, ADDRESSES_MONITOR_SAYS, ret, err);
}

int address_of_json(const json_t *arguments, struct address *ret, bool *ret_one,
                    struct address *ret_cpr, bool *ret_beside, struct error *err)
{
    const json_t *uri = json_object_get(arguments, "uri");
    const json_t *channels = json_object_get(arguments, "channels");
    struct address addresses[CHANNEL_TYPES];
    bool there[CHANNEL_TYPES];

    *ret_beside = false;
    if (!uri) {
        if (read_channels(channels, addresses, there, err) < 0)
            return -1;
        if ((*ret_one = there[0]))
            *ret = addresses[0];
        if ((*ret_beside = there[1]))
            *ret_cpr = addresses[1];
        return 0;
    }
    *ret_one = json_array_size(channels) == 0;
    return *ret_one ? read_uri(json_string_value(uri), ret, err) : 0;
}

/* Every interface; in a URI the host is left out. */
#define ANYWHERE "0.0.0.0"

/* --- out ------------------------------------------------------------------------------------- */

json_t *address_json(const char *text)
{
    struct address a;
    struct error ignored;
    char cid[16], port[16];

    if (address_parse(text, &a, &ignored) < 0)
        return NULL;
    switch (a.scheme) {
    case ADDRESS_TCP:
        return json_pack("{s:s, s:s, s:s}", "type", "inet", "host", a.host[0] ? a.host : ANYWHERE,
                         "port", a.port);
    case ADDRESS_UNIX:
        return json_pack("{s:s, s:s}", "type", "unix", "path", a.path);
    case ADDRESS_VSOCK:
        snprintf(cid, sizeof(cid), "%u", a.cid);
        snprintf(port, sizeof(port), "%u", a.vsock_port);
        return json_pack("{s:s, s:s, s:s}", "type", "vsock", "cid", cid, "port", port);
    case ADDRESS_FD:
        return json_pack("{s:s, s:s}", "type", "fd", "str", text + strlen("fd:"));
    default:
        return NULL;
    }
}
