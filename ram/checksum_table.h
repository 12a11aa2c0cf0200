/*
 * ram/checksum_table.h: the checksums of a mapped-ram file as bytes: the table that follows the
 * file's stream. No I/O. Format: docs/wire.md; all integers big-endian.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "ram/checksum.h"

#define CHECKSUM_TABLE_ALIGN 4096 /* of its first byte, counted from the stream's */
#define CHECKSUM_HEAD_LEN    64   /* its first part, which has one length for all tables */
#define CHECKSUM_END_LEN     32   /* its last part, which leads from the file's end to the first */
#define CHECKSUM_TABLE_MAX   (UINT64_C(1) << 30) /* bytes: a guest of 128 TiB */

/* One block. Offsets count from the stream's first byte. */
struct checksum_block {
    char name[RAM_BLOCK_NAME];
    uint64_t used_bytes, bitmap_offset, pages_offset;
    /* Of what is in the stream before the block's pages, from where the pages of the block before
     * it end: checksum_part_lead() bytes, and its bitmap. */
    uint8_t head[CHECKSUM_LEN];
    const uint8_t *pieces; /* checksum_n_pieces() of CHECKSUM_LEN bytes, in the table's bytes */
};

struct checksum_table {
    uint64_t stream_bytes;
    uint64_t distance; /* from the stream's first byte to the table's: a multiple of 4096 */
    uint8_t tail[CHECKSUM_LEN]; /* of what is in the stream after the last block's pages */
    struct checksum_block *blocks;
    size_t n_blocks;
    struct buf bytes; /* what it was decoded from */
};

/* Where a table stands after a stream of so many bytes, counted from the stream's first byte. */
static inline uint64_t checksum_distance(uint64_t stream_bytes)
{
    return ALIGN_UP(stream_bytes, (uint64_t)CHECKSUM_TABLE_ALIGN);
}

/* Where the part before block `i` begins, or with i == n_blocks the tail: counted as above. */
uint64_t checksum_part_start(const struct checksum_table *t, size_t i);
/* Its length: to where the bitmap, or the stream, ends. */
uint64_t checksum_part_bytes(const struct checksum_table *t, size_t i);
/*
 * How many of its first bytes are summed up; before a block its bitmap follows. They are all there
 * is, or more than all that the stream has there: the pages of a block that was left out may have
 * kept their room.
 */
uint64_t checksum_part_lead(const struct checksum_table *t, size_t i);
#define CHECKSUM_LEAD_MAX (UINT64_C(256) << 20)
const uint8_t *checksum_part_sum(const struct checksum_table *t, size_t i);

/* Appends the table's bytes; `distance` and `bytes` of *t are not used. */
MUST_USE int checksum_table_encode(const struct checksum_table *t, struct buf *out,
                                   struct error *err);

/* Whether bytes begin a table; then *ret_len is the length that it says, which may be anything. */
bool checksum_table_begins(const uint8_t head[static CHECKSUM_HEAD_LEN], uint64_t *ret_len);
/* The same for the bytes that end one. */
bool checksum_table_ends(const uint8_t end[static CHECKSUM_END_LEN], uint64_t *ret_len);

/*
 * Reads a table, which may come from anyone. Takes `bytes`, also when it fails. ERR_PEER where the
 * table's own checksum is another, or where what it says cannot be. Whether the file is as it says
 * is for the caller to check. checksum_table_done() frees *ret.
 */
MUST_USE int checksum_table_decode(struct buf *bytes, struct checksum_table *ret,
                                   struct error *err);
/* NULL: no block has that name. */
const struct checksum_block *checksum_table_find(const struct checksum_table *t, const char *name);
/* A zeroed one is fine. */
void checksum_table_done(struct checksum_table *t);
