#include "base/uuid.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int uuid_parse(const char *text, struct uuid *ret)
{
    struct uuid uuid;
    size_t n = 0;

    if (strlen(text) != UUID_TEXT_LEN - 1)
        return -1;
    for (const char *p = text; *p;) {
        size_t at = (size_t)(p - text);

        if (at == 8 || at == 13 || at == 18 || at == 23) {
            if (*p++ != '-')
                return -1;
            continue;
        }
        if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]))
            return -1;
        uuid.bytes[n++] = (uint8_t)strtoul((char[]){p[0], p[1], 0}, NULL, 16);
        p += 2;
    }
    *ret = uuid;
    return 0;
}

void uuid_format(const struct uuid *uuid, char ret[static UUID_TEXT_LEN])
{
    char *p = ret;

    for (size_t i = 0; i < UUID_LEN; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        p += sprintf(p, "%02x", uuid->bytes[i]);
    }
}

bool uuid_is_set(const struct uuid *uuid)
{
    return !uuid_equal(uuid, &(struct uuid){0});
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

int uuid_expect(const struct uuid *found, const struct uuid *expected, const char *where,
                struct error *err)
{
    char theirs[UUID_TEXT_LEN], ours[UUID_TEXT_LEN];

    if (uuid_equal(found, expected))
        return 0;
    uuid_format(found, theirs);
    uuid_format(expected, ours);
    return err_set(err, ERR_PEER, "%s: UUID %s, expected %s", where, theirs, ours);
}
