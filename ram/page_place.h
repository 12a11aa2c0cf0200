/*
 * ram/page_place.h: puts arriving pages into the block's memory or its store. Only this file knows
 * the difference. A caller with pages asks for room, fills it, and settles it. For memory, room is
 * the pages' own place, so nothing is copied; for a store, room is the caller's buffer.
 *
 * Any thread; the ranges of simultaneous calls do not overlap.
 */
#pragma once

#include "ram/block.h"

/* Whether this block's pages must be received into a buffer. */
static inline bool page_place_is_buffered(const struct ram_block *b)
{
    return !b->host;
}

/* After ram_span(), with the host that it returned: where to receive the bytes. `buffer` must have
 * room for them if page_place_is_buffered(). */
static inline uint8_t *page_place_room(uint8_t *host, uint8_t *buffer)
{
    return host ? host : buffer;
}

/* The caller has filled all `len` bytes of the room that page_place_room() gave for `offset`. */
MUST_USE static inline int page_place_settle(struct ram_block *b, uint64_t offset,
                                             const uint8_t *room, size_t len, struct error *err)
{
    ram_mark_present(b, offset, len);
    return b->host ? 0 : b->store->write(b, offset, room, len, err);
}

/* After ram_span(): copies pages from `bytes` to their place. */
MUST_USE int page_place_write(struct ram_block *b, uint64_t offset, const void *bytes, size_t len,
                              struct error *err);
/* After ram_span(): makes one page zero. Cheap if the page was not written before. */
MUST_USE int page_place_zero(struct ram_block *b, uint64_t offset, struct error *err);
/* *ret: the page's bytes, in the block's memory or in `buffer`. */
MUST_USE int page_place_read(struct ram_block *b, uint64_t page, uint8_t buffer[RAM_PAGE_SIZE],
                             const uint8_t **ret, struct error *err);
