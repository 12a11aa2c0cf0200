#include "ram/checksum.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/bytes.h"

uint64_t checksum_page(const uint8_t page[RAM_PAGE_SIZE])
{
    return XXH3_64bits(page, RAM_PAGE_SIZE);
}

static void to_bytes(XXH128_hash_t hash, uint8_t ret[static CHECKSUM_LEN])
{
    struct writer w = writer_of(ret, CHECKSUM_LEN);

    put_u64(&w, hash.high64);
    put_u64(&w, hash.low64);
}

void checksum_bytes(const void *bytes, size_t len, uint8_t ret[static CHECKSUM_LEN])
{
    to_bytes(XXH3_128bits(bytes, len), ret);
}

void checksum_piece(const uint64_t pages[], unsigned n_pages, uint8_t ret[static CHECKSUM_LEN])
{
    uint8_t bytes[STRIPE_PAGES * 8];
    struct writer w = writer_of(bytes, sizeof(bytes));
    uint64_t any = 0;

    assert(n_pages <= STRIPE_PAGES);
    for (unsigned i = 0; i < n_pages; i++) {
        any |= pages[i];
        put_u64(&w, pages[i]);
    }
    if (any)
        checksum_bytes(bytes, (size_t)n_pages * 8, ret);
    else
        memset(ret, 0, CHECKSUM_LEN);
}

/* --- bytes that come one after the other ----------------------------------------------------- */

struct checksum_stream *checksum_stream_new(void)
{
    XXH3_state_t *state = XXH3_createState();

    if (state)
        XXH3_128bits_reset(state);
    return (struct checksum_stream *)state;
}

void checksum_stream_add(struct checksum_stream *s, const void *bytes, size_t len)
{
    XXH3_128bits_update((XXH3_state_t *)s, bytes, len);
}

void checksum_stream_end(const struct checksum_stream *s, uint8_t ret[static CHECKSUM_LEN])
{
    to_bytes(XXH3_128bits_digest((const XXH3_state_t *)s), ret);
}

void checksum_stream_free(struct checksum_stream *s)
{
    XXH3_freeState((XXH3_state_t *)s);
}

void checksum_text(const uint8_t sum[static CHECKSUM_LEN], char ret[static CHECKSUM_TEXT_LEN])
{
    for (size_t i = 0; i < CHECKSUM_LEN; i++)
        snprintf(ret + 2 * i, 3, "%02x", sum[i]);
}

/* --- pages that are written ------------------------------------------------------------------ */

_Atomic uint64_t *checksum_pages_new(const struct ram_block *b)
{
    return calloc(ram_block_pages(b), sizeof(_Atomic uint64_t));
}

void checksum_pages_note(_Atomic uint64_t *sums, uint64_t first, const uint8_t *bytes,
                         size_t n_pages)
{
    for (size_t i = 0; i < n_pages; i++)
        atomic_store_explicit(&sums[first + i], checksum_page(bytes + i * RAM_PAGE_SIZE),
                              memory_order_relaxed);
}

/* --- pages that are read --------------------------------------------------------------------- */

int checksum_expect(const struct ram_block *b, uint64_t first_page, const uint64_t pages[],
                    unsigned n_pages, struct error *err)
{
    const uint8_t *expected = b->checksums + first_page / STRIPE_PAGES * CHECKSUM_LEN;
    char want[CHECKSUM_TEXT_LEN], have[CHECKSUM_TEXT_LEN];
    uint8_t found[CHECKSUM_LEN];
    uint64_t at = first_page << RAM_PAGE_BITS;

    checksum_piece(pages, n_pages, found);
    if (memcmp(found, expected, CHECKSUM_LEN) == 0)
        return 0;
    checksum_text(expected, want);
    checksum_text(found, have);
    return err_set(err, ERR_PEER,
                   "RAM block '%s': damaged at 0x%" PRIx64 "-0x%" PRIx64
                   ": its pages have the checksum %s, expected %s",
                   b->name, at, at + ((uint64_t)n_pages << RAM_PAGE_BITS) - 1, have, want);
}
