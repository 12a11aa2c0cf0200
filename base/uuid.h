/*
 * base/uuid.h: a UUID as 16 raw bytes, in the order of its text form; and that text form.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define UUID_LEN      16
#define UUID_TEXT_LEN 37 /* with the terminator */

struct uuid {
    uint8_t bytes[UUID_LEN]; /* all zero: not set */
};

/* 0, or -1 if `text` is not 8-4-4-4-12 hexadecimal digits; *ret is then unchanged. */
MUST_USE int uuid_parse(const char *text, struct uuid *ret);
void uuid_format(const struct uuid *uuid, char ret[static UUID_TEXT_LEN]);
bool uuid_is_set(const struct uuid *uuid);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
/* 0 if they are equal, else ERR_PEER with a text that starts with `where` and names both. */
MUST_USE int uuid_expect(const struct uuid *found, const struct uuid *expected, const char *where,
                         struct error *err);
