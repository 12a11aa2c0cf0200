/*
 * stream/description.h: the JSON that closes a stream, and what it is good for: sections carry no
 * length, but the description lists every device section with the sizes of its fields, so that a
 * device tail can be cut, checked, and known to be complete.
 *
 * A device tail is everything behind RAM's last section: device sections (0x04), the EOF byte,
 * the description.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "stream/section.h"

/* Called for each device section in stream order; `body` has `body_len` bytes. */
typedef void description_visit(void *arg, const struct section *s, const uint8_t *body,
                               uint64_t body_len);

/*
 * Whether `tail` ends in EOF byte and description, to the byte: an answer from the last bytes
 * alone, cheap enough to ask whenever bytes have come. `*ret_json` is where the text begins.
 */
bool description_ends(const struct buf *tail, size_t *ret_json);

/* Where in such a tail the EOF byte stands; 0 where it is none. */
size_t description_eof(const struct buf *tail);

/*
 * Checks that `early` (device sections that stood before RAM) and `tail` are exactly the sections
 * that the tail's description lists. Calls `visit`, if not NULL, for each.
 */
MUST_USE int description_check(const struct buf *early, const struct buf *tail,
                               description_visit *visit, void *arg, struct error *err);

/*
 * Finds the description in a tail that something stands behind: the padding of a file. True where
 * there is one that lists exactly the sections before it, as description_check() has it; it ends at
 * *ret_end. Looks at the whole tail.
 */
bool description_find(const struct buf *early, const struct buf *tail, size_t *ret_end);

/* Appends EOF byte and description; `devices` is its array of entries, NULL: there are none. */
MUST_USE int description_append(struct buf *tail, json_t *devices, struct error *err);
