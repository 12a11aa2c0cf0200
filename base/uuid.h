/*
 * base/uuid.h: 16 raw bytes in the order they are written, and their text form.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define UUID_LEN      16
#define UUID_TEXT_LEN 37 /* with the terminator */

struct uuid {
    uint8_t bytes[UUID_LEN]; /* all zero: none was set */
};

/* 0, or -1 where `text` is not 8-4-4-4-12 hexadecimal digits; *ret stays as it was then. */
MUST_USE int uuid_parse(const char *text, struct uuid *ret);
void uuid_format(const struct uuid *uuid, char ret[static UUID_TEXT_LEN]);
bool uuid_is_set(const struct uuid *uuid);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
/* 0, or ERR_PEER with both in the text, and `where` in front. */
MUST_USE int uuid_expect(const struct uuid *found, const struct uuid *expected, const char *where,
                         struct error *err);
