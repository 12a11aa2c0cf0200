#include "ram/page_place.h"

#include <string.h>

int page_place_write(struct ram_block *b, uint64_t offset, const void *bytes, size_t len,
                     struct error *err)
{
    if (b->host)
        memcpy(b->host + offset, bytes, len);
    return page_place_settle(b, offset, bytes, len, err);
}

int page_place_zero(struct ram_block *b, uint64_t offset, struct error *err)
{
    uint64_t page = offset >> RAM_PAGE_BITS, bit = UINT64_C(1) << page % 64;

    /* Written only once, so that later all threads can read it from their caches. */
    if (!atomic_load_explicit(&b->zeroed, memory_order_relaxed))
        atomic_store_explicit(&b->zeroed, true, memory_order_relaxed);
    if (!(atomic_fetch_and_explicit(&b->present[page / 64], ~bit, memory_order_relaxed) & bit))
        return 0; /* the page was never written: it is zero already */
    if (b->host) {
        memset(b->host + offset, 0, RAM_PAGE_SIZE);
        return 0;
    }
    return b->store->clear(b, offset, RAM_PAGE_SIZE, err);
}

int page_place_read(struct ram_block *b, uint64_t page, uint8_t buffer[RAM_PAGE_SIZE],
                    const uint8_t **ret, struct error *err)
{
    uint64_t offset = page << RAM_PAGE_BITS;

    *ret = b->host ? b->host + offset : buffer;
    return b->host ? 0 : b->store->read(b, offset, buffer, RAM_PAGE_SIZE, err);
}
