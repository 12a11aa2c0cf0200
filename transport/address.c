#include "transport/address.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

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

static int parse_tcp(const char *rest, struct address *a)
{
    const char *colon = strrchr(rest, ':');

    if (!colon || !colon[1] || strlen(colon + 1) >= sizeof(a->port))
        return -1;
    const char *host = rest;
    size_t len = (size_t)(colon - rest);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(host, ':', len)) {
        return -1; /* IPv6 without brackets: where the port begins would be a guess */
    }
    if (len >= sizeof(a->host))
        return -1;
    memcpy(a->host, host, len);
    strcpy(a->port, colon + 1);
    uint32_t number;
    return isdigit((unsigned char)a->port[0]) &&
                   (parse_u32(a->port, strlen(a->port), &number) < 0 || number > 65535)
               ? -1
               : 0;
}

static int parse_unix(const char *rest, struct address *a)
{
    if (!rest[0] || strlen(rest) >= sizeof(a->path))
        return -1;
    strcpy(a->path, rest);
    return 0;
}

static int parse_vsock(const char *rest, struct address *a)
{
    const char *colon = strchr(rest, ':');

    if (!colon)
        return -1;
    if (parse_u32(rest, (size_t)(colon - rest), &a->cid) < 0)
        return -1;
    return parse_u32(colon + 1, strlen(colon + 1), &a->vsock_port);
}

static int parse_fd(const char *rest, struct address *a)
{
    uint32_t fd;

    if (parse_u32(rest, strlen(rest), &fd) < 0 || fd > INT32_MAX)
        return -1;
    a->fd = (int)fd;
    return 0;
}

#define OFFSET ",offset="

/* As QEMU has it: a path may have commas, but not that word. N as "4096", "0x1000" or "1M". */
static int parse_file(const char *rest, struct address *a)
{
    const char *offset = strstr(rest, OFFSET);
    size_t len = offset ? (size_t)(offset - rest) : strlen(rest);
    struct error ignored;
    char *end;

    if (len == 0 || len >= sizeof(a->file))
        return -1;
    memcpy(a->file, rest, len);
    a->file[len] = 0;
    if (!offset)
        return 0;
    offset += strlen(OFFSET);
    if (strncmp(offset, "0x", 2) != 0)
        return parse_size(offset, &a->offset, &ignored) < 0 || a->offset > INT64_MAX ? -1 : 0;
    errno = 0;
    a->offset = strtoull(offset, &end, 16);
    return !offset[2] || *end || errno || a->offset > INT64_MAX ? -1 : 0;
}

static const struct {
    const char *prefix, *form;
    int (*parse)(const char *rest, struct address *a);
} schemes[] = {
    [ADDRESS_TCP] = {"tcp:", "tcp:HOST:PORT, an IPv6 HOST in brackets", parse_tcp},
    [ADDRESS_UNIX] = {"unix:", "unix:PATH of at most 107 bytes", parse_unix},
    [ADDRESS_VSOCK] = {"vsock:", "vsock:CID:PORT", parse_vsock},
    [ADDRESS_FD] = {"fd:", "fd:N, the number of an open descriptor", parse_fd},
    [ADDRESS_FILE] = {"file:", "file:PATH[,offset=N]", parse_file},
};
_Static_assert(ARRAY_LEN(schemes) == ADDRESS_N, "a row for each scheme");

int address_parse(const char *text, struct address *ret, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        struct address a = {.scheme = (enum address_scheme)i, .fd = -1};
        size_t len = strlen(schemes[i].prefix);

        if (strncmp(text, schemes[i].prefix, len) != 0)
            continue;
        if (schemes[i].parse(text + len, &a) < 0 || strlen(text) >= sizeof(a.text))
            return err_set(err, ERR_USAGE, "address '%.100s': expected %s", text, schemes[i].form);
        strcpy(a.text, text);
        *ret = a;
        return 0;
    }
    return err_set(err, ERR_USAGE,
                   "address '%.100s': expected tcp:HOST:PORT, unix:PATH, vsock:CID:PORT, fd:N or "
                   "file:PATH",
                   text);
}
