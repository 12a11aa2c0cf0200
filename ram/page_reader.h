/*
 * ram/page_reader.h: reads pages of a block from its file, which does not change meanwhile, instead
 * of accessing them through the mapping: mapping and unmapping small pages costs more than copying
 * them into a buffer that stays in the cache. One thread. It does not know what the pages are for.
 */
#pragma once

#include "base/error.h"
#include "ram/block.h"

/* The buffer's size: it fits in a core's second-level cache and leaves room for other data. */
#define PAGE_READER_PAGES 128

struct page_reader {
    uint8_t *buffer;     /* allocated when first needed */
    size_t used;         /* pages of it that were filled since it was cleared */
    size_t at;           /* where the last run begins in it, in pages */
    uint64_t first, end; /* the pages of the last run: numbers in the block, end exclusive */
};

void page_reader_done(struct page_reader *r);
/* Empties the buffer: the caller needs no page that was read, of the last run either. */
void page_reader_clear(struct page_reader *r);
/* How many more pages the buffer has room for. */
size_t page_reader_room(const struct page_reader *r);
/*
 * Reads `n` pages from number `page` on; `n` is at most page_reader_room(). Pages that were read
 * before stay where they are. ERR_PEER: the file has become too short.
 */
MUST_USE int page_reader_read(struct page_reader *r, const struct ram_block *b, uint64_t page,
                              size_t n, struct error *err);
/* The page's bytes, valid until the reader is cleared; NULL: the page is not in the last run. */
static inline const uint8_t *page_reader_find(const struct page_reader *r, uint64_t page)
{
    if (page < r->first || page >= r->end)
        return NULL;
    return r->buffer + (r->at + (page - r->first)) * RAM_PAGE_SIZE;
}
