/*
 * ram/page_place.h: where pages that arrive are put: in the block's memory, or in its store. Only
 * here the two differ. Whoever brings pages asks for room, fills it, and settles it: room in memory
 * is the pages' own place, so nothing is copied; for a store it is the caller's buffer.
 *
 * Any thread; ranges of two calls at once do not overlap.
 */
#pragma once

#include "ram/block.h"

/* Pages of this block arrive in a buffer. */
static inline bool page_place_is_buffered(const struct ram_block *b)
{
    return !b->host;
}

/* After ram_span(), with its host: where the bytes are to be received; `buffer` has room for them
 * where page_place_is_buffered(). */
static inline uint8_t *page_place_room(uint8_t *host, uint8_t *buffer)
{
    return host ? host : buffer;
}

/* All of them are in the room that page_place_room() gave for `offset`. */
MUST_USE static inline int page_place_settle(struct ram_block *b, uint64_t offset,
                                             const uint8_t *room, size_t len, struct error *err)
{
    ram_mark_present(b, offset, len);
    return b->host ? 0 : b->store->write(b, offset, room, len, err);
}

/* After ram_span(): puts pages there that lie elsewhere. */
MUST_USE int page_place_write(struct ram_block *b, uint64_t offset, const void *bytes, size_t len,
                              struct error *err);
/* After ram_span(): makes one page zero. Costs nothing where nothing was written before. */
MUST_USE int page_place_zero(struct ram_block *b, uint64_t offset, struct error *err);
/* The page's bytes, where they lie or in `buffer`. */
MUST_USE int page_place_read(struct ram_block *b, uint64_t page, uint8_t buffer[RAM_PAGE_SIZE],
                             const uint8_t **ret, struct error *err);
