/*
 * base/signature.h: recognises other formats by their first bytes, where a migration stream was
 * expected. One table serves files and connections: users name the wrong one of either kind.
 * Sources: each format's own description, or the first bytes that its programs write; facts
 * restated.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define SIGNATURE_LEN 512 /* bytes; enough for every row. With fewer, longer rows do not match */

/* Where the bytes come from. A row applies to one of these or to both. */
#define SIGNATURE_FILE 1U
#define SIGNATURE_PEER 2U

#define SIGNATURE_TEXT_LEN 160

/*
 * What starts with these bytes, as a clause: "this is …" or "the peer speaks …", and what to do
 * about it. False if the bytes are not recognised; `ret` is then unchanged. Text of no known format
 * is quoted unchanged, so the clause may not be printable.
 */
bool signature_name(const void *bytes, size_t len, unsigned where,
                    char ret[static SIGNATURE_TEXT_LEN]);
/* The remedy for an error with this clause. */
enum remedy signature_remedy(const void *bytes, size_t len, unsigned where);
