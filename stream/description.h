/*
 * stream/description.h: the JSON at the end of a stream. Sections carry no length, but the
 * description lists every device section with the sizes of its fields. So a device tail can be
 * split into sections and checked, and we know when it is complete.
 *
 * A device tail is everything after RAM's last section: device sections (0x04), the EOF byte, the
 * description.
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
 * Whether `tail` ends exactly with the EOF byte and a description. Looks at the last bytes only, so
 * it is cheap enough to call whenever bytes have come. *ret_json is the offset of the text.
 */
bool description_ends(const struct buf *tail, size_t *ret_json);

/* The offset of the EOF byte in such a tail; 0 if the tail does not end so. */
size_t description_eof(const struct buf *tail);

/*
 * Checks that `early` (device sections that came before RAM) and `tail` are exactly the sections
 * that the tail's description lists. Calls `visit`, if not NULL, for each.
 */
MUST_USE int description_check(const struct buf *early, const struct buf *tail,
                               description_visit *visit, void *arg, struct error *err);

/*
 * Finds the description in a tail that other bytes follow, such as the padding of a file. True if
 * one lists exactly the sections before it, as in description_check(); it ends at *ret_end.
 * Searches the whole tail.
 */
bool description_find(const struct buf *early, const struct buf *tail, size_t *ret_end);

/*
 * Adds a section whose body has `body_len` bytes to an array of entries for description_append().
 * *list: NULL before the first.
 */
MUST_USE int description_list(json_t **list, const struct section *s, uint64_t body_len,
                              struct error *err);
/* Appends the EOF byte and a description. `devices` is its array of entries; NULL: no entries. */
MUST_USE int description_append(struct buf *tail, json_t *devices, struct error *err);
