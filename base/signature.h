/*
 * base/signature.h: what it is that begins with these bytes, where a migration was expected. One
 * table for files and for connections: those who open either may be given the wrong one.
 * Formats: each one's own description, or the first bytes that its programs write; facts restated.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define SIGNATURE_LEN 512 /* bytes that suffice for every row; fewer are looked at as they are */

/* Where the bytes come from: a row is about one or both. */
#define SIGNATURE_FILE 1U
#define SIGNATURE_PEER 2U

#define SIGNATURE_TEXT_LEN 160

/*
 * What starts with these bytes, as a clause: "this is …" or "the peer speaks …", and what to do
 * about it. False where nothing is known; `ret` is not written then. Text that has no name of its
 * own is quoted as it came: not printable yet.
 */
bool signature_name(const void *bytes, size_t len, unsigned where,
                    char ret[static SIGNATURE_TEXT_LEN]);
/* The remedy of an error that has this clause. */
enum remedy signature_remedy(const void *bytes, size_t len, unsigned where);
