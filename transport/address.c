#include "transport/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

#define PORT_MAX 65535

static int parse_u32(const char *text, size_t len, uint32_t *ret)
{
    char digits[16];
    char *end;

    if (len == 0 || len >= sizeof(digits) || !isdigit((unsigned char)text[0]))
        return -1;
    memcpy(digits, text, len);
    digits[len] = 0;
    errno = 0;
    unsigned long value = strtoul(digits, &end, 10);
    if (*end || errno || value > UINT32_MAX)
        return -1;
    *ret = (uint32_t)value;
    return 0;
}

/* A parser says in *err which part is wrong. If it leaves *err empty, parse_as() tells the form. */
#define NOT_THE_FORM (-1)

/* Without a zone a link-local address is ambiguous: it means another host on each link. */
static int check_zone(const char *host, struct error *err)
{
    size_t len = strcspn(host, "%");
    char number[INET6_ADDRSTRLEN];
    struct in6_addr ip;

    if (len >= sizeof(number) || host[len + (host[len] == '%')])
        return 0;
    memcpy(number, host, len);
    number[len] = 0;
    if (inet_pton(AF_INET6, number, &ip) != 1 || !IN6_IS_ADDR_LINKLOCAL(&ip))
        return 0;
    return err_set(err, ERR_USAGE,
                   "%s is link-local: expected its zone, the interface that leads there, as in "
                   "[%s%%eth0]",
                   number, number);
}

static int parse_port(const char *text, struct address *a, struct error *err)
{
    uint32_t number = 0;

    if (!text[0])
        return err_set(err, ERR_USAGE, "no port: expected tcp:HOST:PORT");
    bool good = isdigit((unsigned char)text[0])
                    ? parse_u32(text, strlen(text), &number) == 0 && number <= PORT_MAX
                    : strlen(text) < sizeof(a->port);
    if (!good)
        return err_set(err, ERR_USAGE, "port '%.40s': expected 0 to %d, or the name of a service",
                       text, PORT_MAX);
    strcpy(a->port, text);
    return 0;
}

static int parse_tcp(const char *rest, struct address *a, struct error *err)
{
    const char *colon = strrchr(rest, ':'), *host = rest;

    if (!colon)
        return NOT_THE_FORM;
    size_t len = (size_t)(colon - rest);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(host, ':', len) || memchr(host, '[', len)) {
        return NOT_THE_FORM; /* IPv6 without brackets: we could only guess where the port begins */
    }
    if (len >= sizeof(a->host))
        return err_set(err, ERR_USAGE, "HOST has %zu bytes, expected at most %zu", len,
                       sizeof(a->host) - 1);
    memcpy(a->host, host, len);
    return parse_port(colon + 1, a, err) < 0 ? -1 : check_zone(a->host, err);
}

static int parse_unix(const char *rest, struct address *a, struct error *err)
{
    if (!rest[0])
        return NOT_THE_FORM;
    if (strlen(rest) >= sizeof(a->path))
        return err_set(err, ERR_USAGE,
                       "PATH has %zu bytes, expected unix:PATH of at most %zu bytes", strlen(rest),
                       sizeof(a->path) - 1);
    strcpy(a->path, rest);
    return 0;
}

static int parse_vsock_number(const char *what, const char *text, size_t len, uint32_t *ret,
                              struct error *err)
{
    if (parse_u32(text, len, ret) == 0)
        return 0;
    return err_set(err, ERR_USAGE, "%s '%.*s': expected a number, 0 to %u, in vsock:CID:PORT", what,
                   (int)MIN(len, (size_t)40), text, UINT32_MAX);
}

static int parse_vsock(const char *rest, struct address *a, struct error *err)
{
    const char *colon = strchr(rest, ':');

    if (!colon)
        return NOT_THE_FORM;
    if (parse_vsock_number("CID", rest, (size_t)(colon - rest), &a->cid, err) < 0)
        return -1;
    return parse_vsock_number("port", colon + 1, strlen(colon + 1), &a->vsock_port, err);
}

static int parse_fd(const char *rest, struct address *a, struct error *err)
{
    uint32_t fd;

    (void)err;
    if (parse_u32(rest, strlen(rest), &fd) < 0 || fd > INT32_MAX)
        return NOT_THE_FORM;
    a->fd = (int)fd;
    return 0;
}

#define OFFSET ",offset="

static int parse_offset(const char *text, uint64_t *ret)
{
    struct error ignored;
    char *end;

    if (strncmp(text, "0x", 2) != 0)
        return parse_size(text, ret, &ignored) < 0 || *ret > INT64_MAX ? -1 : 0;
    errno = 0;
    *ret = strtoull(text, &end, 16);
    return !text[2] || *end || errno || *ret > INT64_MAX ? -1 : 0;
}

/* As in QEMU: a path may contain commas, but not OFFSET. N is like "4096", "0x1000" or "1M". */
static int parse_file(const char *rest, struct address *a, struct error *err)
{
    const char *offset = strstr(rest, OFFSET);
    size_t len = offset ? (size_t)(offset - rest) : strlen(rest);

    if (len == 0)
        return NOT_THE_FORM;
    if (len >= sizeof(a->file))
        return err_set(err, ERR_USAGE,
                       "PATH has %zu bytes, expected file:PATH of at most %zu bytes", len,
                       sizeof(a->file) - 1);
    memcpy(a->file, rest, len);
    a->file[len] = 0;
    if (!offset || parse_offset(offset + strlen(OFFSET), &a->offset) == 0)
        return 0;
    return err_set(err, ERR_USAGE,
                   "offset '%.40s': expected bytes as in file:PATH,offset=4096, 0x1000 or 1M",
                   offset + strlen(OFFSET));
}

static const struct {
    const char *prefix, *form, *more; /* more: a remark on the form, for errors */
    int (*parse)(const char *rest, struct address *a, struct error *err);
} schemes[] = {
    [ADDRESS_TCP] = {"tcp:", "tcp:HOST:PORT", ", an IPv6 HOST in brackets", parse_tcp},
    [ADDRESS_UNIX] = {"unix:", "unix:PATH", " of at most 107 bytes", parse_unix},
    [ADDRESS_VSOCK] = {"vsock:", "vsock:CID:PORT", "", parse_vsock},
    [ADDRESS_FD] = {"fd:", "fd:N", ", the number of an open descriptor", parse_fd},
    [ADDRESS_FILE] = {"file:", "file:PATH[,offset=N]", "", parse_file},
};
_Static_assert(ARRAY_LEN(schemes) == ADDRESS_N, "a row for each scheme");

/* "tcp:HOST:PORT, unix:PATH or fd:N": the forms of a set. */
static void list_forms(unsigned set, char *ret, size_t size)
{
    size_t len = 0;

    ret[0] = 0;
    for (size_t i = 0; i < ARRAY_LEN(schemes) && len < size; i++) {
        unsigned left = set >> i;

        if (left & 1)
            len += (size_t)snprintf(ret + len, size - len, "%s%s",
                                    len == 0    ? ""
                                    : left == 1 ? " or "
                                                : ", ",
                                    schemes[i].form);
    }
}

static int parse_as(size_t scheme, const char *text, struct address *ret, struct error *err)
{
    struct address a = {.scheme = (enum address_scheme)scheme, .fd = -1};

    err->kind = ERR_NONE;
    if (schemes[scheme].parse(text + strlen(schemes[scheme].prefix), &a, err) < 0) {
        if (err->kind == ERR_NONE)
            err_set(err, ERR_USAGE, "expected %s%s", schemes[scheme].form, schemes[scheme].more);
        return -1;
    }
    if (strlen(text) >= sizeof(a.text))
        return err_set(err, ERR_USAGE, "it has %zu bytes, expected at most %zu", strlen(text),
                       sizeof(a.text) - 1);
    strcpy(a.text, text);
    *ret = a;
    return 0;
}

int address_parse_of(const char *text, unsigned set, struct address *ret, struct error *err)
{
    char forms[128];

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (!(set >> i & 1) || strncmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) != 0)
            continue;
        if (parse_as(i, text, ret, err) == 0)
            return 0;
        return err_in(err, "address '%.100s'", text);
    }
    list_forms(set, forms, sizeof(forms));
    return err_set(err, ERR_USAGE, "address '%.100s': expected %s", text, forms);
}

int address_parse(const char *text, struct address *ret, struct error *err)
{
    return address_parse_of(text, ADDRESSES_ALL, ret, err);
}
