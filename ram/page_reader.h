/*
 * ram/page_reader.h: pages of a block whose file stands still, read instead of looked at through
 * the mapping: mapping and unmapping small pages costs more than copying them into a buffer that
 * stays in the cache. One thread. It knows nothing of what the pages are for.
 */
#pragma once

#include "base/error.h"
#include "ram/block.h"

/* In the buffer at once: what a core's second-level cache holds beside other things. */
#define PAGE_READER_PAGES 128

struct page_reader {
    uint8_t *buffer;     /* made when needed */
    size_t used;         /* pages of it that were given out since it was cleared */
    size_t at;           /* where the last run begins in it */
    uint64_t first, end; /* the pages of the last run, numbers in the block */
};

void page_reader_done(struct page_reader *r);
/* Nothing that was read is needed any more, what is left of the last run included. */
void page_reader_clear(struct page_reader *r);
/* How many pages fit beside those that were read since it was cleared. */
size_t page_reader_room(const struct page_reader *r);
/*
 * Reads `n` pages, at most the room, from number `page` on. Those read before stay where they are.
 * ERR_PEER where the file has become too short.
 */
MUST_USE int page_reader_read(struct page_reader *r, const struct ram_block *b, uint64_t page,
                              size_t n, struct error *err);
/* The page's bytes, good until the reader is cleared; NULL where the last run has not got it. */
static inline const uint8_t *page_reader_find(const struct page_reader *r, uint64_t page)
{
    if (page < r->first || page >= r->end)
        return NULL;
    return r->buffer + (r->at + (page - r->first)) * RAM_PAGE_SIZE;
}
