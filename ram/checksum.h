/*
 * ram/checksum.h: what pages of a block, and its pieces of 2 MiB, sum up to (XXH3). It finds
 * accidents: a disk's, a cable's, a copy's. It does not protect against an attacker, who can write
 * pages and sums that fit.
 *
 * A piece is an aligned 2 MiB of a block, as a stripe is. Its sum is made of the sums of its pages,
 * so that pages may be summed when they pass, in any order and more than once.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ram/block.h"
#include "ram/stripe.h"

#define CHECKSUM_LEN         16
#define CHECKSUM_PIECE_BYTES ((uint64_t)STRIPE_PAGES * RAM_PAGE_SIZE)
#define CHECKSUM_TEXT_LEN    (2 * CHECKSUM_LEN + 1)

static inline uint64_t checksum_n_pieces(uint64_t used_bytes)
{
    return (used_bytes + CHECKSUM_PIECE_BYTES - 1) / CHECKSUM_PIECE_BYTES;
}

/* XXH3 of a page, 64 bits. */
uint64_t checksum_page(const uint8_t page[RAM_PAGE_SIZE]);

/*
 * The sum of a piece of `n_pages` pages: XXH3, 128 bits, of their sums, each as a big-endian
 * integer; that of a page which the file does not have is 0. A piece without any page has the sum
 * 0.
 */
void checksum_piece(const uint64_t pages[], unsigned n_pages, uint8_t ret[static CHECKSUM_LEN]);

/* XXH3, 128 bits, of bytes that come one after the other. */
struct checksum_stream;
/* NULL: no memory. */
struct checksum_stream *checksum_stream_new(void);
void checksum_stream_add(struct checksum_stream *s, const void *bytes, size_t len);
void checksum_stream_end(const struct checksum_stream *s, uint8_t ret[static CHECKSUM_LEN]);
void checksum_stream_free(struct checksum_stream *s);
void checksum_bytes(const void *bytes, size_t len, uint8_t ret[static CHECKSUM_LEN]);

/* 32 hexadecimal digits. */
void checksum_text(const uint8_t sum[static CHECKSUM_LEN], char ret[static CHECKSUM_TEXT_LEN]);

/* Room for the sum of each page of a block; NULL: no memory. */
_Atomic uint64_t *checksum_pages_new(const struct ram_block *b);
/* Pages from number `first` on are at their place in the file, as they are at `bytes`. Any thread;
 * the pages of simultaneous calls are different ones. */
void checksum_pages_note(_Atomic uint64_t *sums, uint64_t first, const uint8_t *bytes,
                         size_t n_pages);

/* Compares what pages sum up to with the sums of the block's file (`b->checksums`). ERR_PEER names
 * the piece, what was expected and what was found. */
MUST_USE int checksum_expect(const struct ram_block *b, uint64_t first_page, const uint64_t pages[],
                             unsigned n_pages, struct error *err);
