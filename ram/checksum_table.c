#include "ram/checksum_table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "stream/stream_format.h"

#define VERSION   1
#define MAGIC     "ramjet checksums"
#define MAGIC_LEN 16
#define END       "rjsumend"
#define END_LEN   8

/* The device sections after RAM are never longer. */
#define TAIL_MAX STREAM_DEVICES_MAX

static uint64_t bitmap_bytes(uint64_t used_bytes)
{
    return ((used_bytes >> RAM_PAGE_BITS) + 63) / 64 * 8;
}

uint64_t checksum_part_start(const struct checksum_table *t, size_t i)
{
    return i == 0 ? 0 : t->blocks[i - 1].pages_offset + t->blocks[i - 1].used_bytes;
}

uint64_t checksum_part_bytes(const struct checksum_table *t, size_t i)
{
    uint64_t end = i == t->n_blocks
                       ? t->stream_bytes
                       : t->blocks[i].bitmap_offset + bitmap_bytes(t->blocks[i].used_bytes);

    return end - checksum_part_start(t, i);
}

uint64_t checksum_part_lead(const struct checksum_table *t, size_t i)
{
    if (i == t->n_blocks)
        return checksum_part_bytes(t, i);
    return MIN(t->blocks[i].bitmap_offset - checksum_part_start(t, i), CHECKSUM_LEAD_MAX);
}

const uint8_t *checksum_part_sum(const struct checksum_table *t, size_t i)
{
    return i == t->n_blocks ? t->tail : t->blocks[i].head;
}

/* --- writing --------------------------------------------------------------------------------- */

static uint64_t block_bytes(const struct checksum_block *b)
{
    return 1 + strlen(b->name) + 3 * 8 + CHECKSUM_LEN +
           checksum_n_pieces(b->used_bytes) * CHECKSUM_LEN;
}

static void put_head(struct writer *w, const struct checksum_table *t, uint64_t len)
{
    put_bytes(w, MAGIC, MAGIC_LEN);
    put_u32(w, VERSION);
    put_u32(w, (uint32_t)t->n_blocks);
    put_u64(w, len);
    put_u64(w, t->stream_bytes);
    put_u64(w, checksum_distance(t->stream_bytes));
    put_bytes(w, t->tail, CHECKSUM_LEN);
}

static void put_block(struct writer *w, const struct checksum_block *b)
{
    put_u8(w, (uint8_t)strlen(b->name));
    put_bytes(w, b->name, strlen(b->name));
    put_u64(w, b->used_bytes);
    put_u64(w, b->bitmap_offset);
    put_u64(w, b->pages_offset);
    put_bytes(w, b->head, CHECKSUM_LEN);
    put_bytes(w, b->pieces, checksum_n_pieces(b->used_bytes) * CHECKSUM_LEN);
}

int checksum_table_encode(const struct checksum_table *t, struct buf *out, struct error *err)
{
    uint64_t len = CHECKSUM_HEAD_LEN + CHECKSUM_END_LEN;
    uint8_t sum[CHECKSUM_LEN];

    for (size_t i = 0; i < t->n_blocks; i++)
        len += block_bytes(&t->blocks[i]);
    if (len > CHECKSUM_TABLE_MAX)
        return err_set(err, ERR_SYSTEM, "checksums: %" PRIu64 " bytes of them, at most %" PRIu64,
                       len, CHECKSUM_TABLE_MAX);
    uint8_t *bytes = malloc(len);
    if (!bytes)
        return err_sys(err, "memory for checksums");
    struct writer w = writer_of(bytes, len);
    put_head(&w, t, len);
    for (size_t i = 0; i < t->n_blocks; i++)
        put_block(&w, &t->blocks[i]);
    checksum_bytes(bytes, len - CHECKSUM_END_LEN, sum);
    put_bytes(&w, sum, CHECKSUM_LEN);
    put_u64(&w, len);
    put_bytes(&w, END, END_LEN);
    int rc = buf_append(out, bytes, len, err);
    free(bytes);
    return rc;
}

/* --- reading --------------------------------------------------------------------------------- */

bool checksum_table_begins(const uint8_t head[static CHECKSUM_HEAD_LEN], uint64_t *ret_len)
{
    struct reader r = reader_of(head, CHECKSUM_HEAD_LEN);

    if (memcmp(get_bytes(&r, MAGIC_LEN), MAGIC, MAGIC_LEN) != 0)
        return false;
    get_u64(&r);
    *ret_len = get_u64(&r);
    return true;
}

bool checksum_table_ends(const uint8_t end[static CHECKSUM_END_LEN], uint64_t *ret_len)
{
    struct reader r = reader_of(end, CHECKSUM_END_LEN);

    get_bytes(&r, CHECKSUM_LEN);
    *ret_len = get_u64(&r);
    return memcmp(get_bytes(&r, END_LEN), END, END_LEN) == 0;
}

static int check_whole(const struct buf *bytes, struct error *err)
{
    uint8_t found[CHECKSUM_LEN];
    uint64_t said, ends;

    if (bytes->len < CHECKSUM_HEAD_LEN + CHECKSUM_END_LEN)
        return err_set(err, ERR_PEER, "%zu bytes, expected at least %d", bytes->len,
                       CHECKSUM_HEAD_LEN + CHECKSUM_END_LEN);
    const uint8_t *end = bytes->data + bytes->len - CHECKSUM_END_LEN;
    checksum_bytes(bytes->data, bytes->len - CHECKSUM_END_LEN, found);
    if (!checksum_table_begins(bytes->data, &said) || !checksum_table_ends(end, &ends) ||
        said != bytes->len || ends != bytes->len || memcmp(found, end, CHECKSUM_LEN) != 0)
        return err_set(err, ERR_PEER, "damaged: its own checksum is another");
    return 0;
}

static bool is_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (name[i] < 0x20 || name[i] > 0x7e)
            return false;
    }
    return len > 0;
}

/* The entry's fields, without what follows from the entry before it. */
static int get_block(struct reader *r, struct checksum_block *ret, struct error *err)
{
    size_t len = get_u8(r);
    const uint8_t *name = get_bytes(r, len);

    if (!name || !is_name((const char *)name, len))
        return err_set(err, ERR_PEER, "a name that cannot be a RAM block's");
    memcpy(ret->name, name, len);
    ret->name[len] = 0;
    ret->used_bytes = get_u64(r);
    ret->bitmap_offset = get_u64(r);
    ret->pages_offset = get_u64(r);
    const uint8_t *head = get_bytes(r, CHECKSUM_LEN);
    if (ret->used_bytes == 0 || ret->used_bytes > RAM_BLOCK_MAX ||
        !IS_ALIGNED(ret->used_bytes, RAM_PAGE_SIZE))
        return err_set(err, ERR_PEER, "RAM block '%s': length 0x%" PRIx64, ret->name,
                       ret->used_bytes);
    uint64_t pieces = checksum_n_pieces(ret->used_bytes) * CHECKSUM_LEN;
    ret->pieces = get_bytes(r, pieces);
    if (!head || !ret->pieces)
        return err_set(err, ERR_PEER, "RAM block '%s': too short for its pieces", ret->name);
    memcpy(ret->head, head, CHECKSUM_LEN);
    return 0;
}

/* The order in the stream: what is before the pages with the bitmap at its end, the pages, and so
 * on. Nothing overlaps, and nothing leaves the stream. */
static int check_place(const struct checksum_table *t, size_t i, struct error *err)
{
    const struct checksum_block *b = &t->blocks[i];
    uint64_t start = checksum_part_start(t, i), bitmap = bitmap_bytes(b->used_bytes);

    if (b->pages_offset > t->stream_bytes || b->used_bytes > t->stream_bytes - b->pages_offset ||
        b->bitmap_offset < start || b->bitmap_offset > b->pages_offset ||
        bitmap > b->pages_offset - b->bitmap_offset)
        return err_set(err, ERR_PEER,
                       "RAM block '%s': bitmap at 0x%" PRIx64 ", pages at 0x%" PRIx64
                       ", in a stream of 0x%" PRIx64 " bytes",
                       b->name, b->bitmap_offset, b->pages_offset, t->stream_bytes);
    return 0;
}

static int get_blocks(struct reader *r, struct checksum_table *t, uint32_t n, struct error *err)
{
    t->blocks = calloc(MAX(n, 1U), sizeof(*t->blocks));
    if (!t->blocks)
        return err_sys(err, "memory for checksums");
    for (; t->n_blocks < n; t->n_blocks++) {
        struct checksum_block b = {0};

        if (get_block(r, &b, err) < 0)
            return -1;
        if (checksum_table_find(t, b.name))
            return err_set(err, ERR_PEER, "RAM block '%s': listed twice", b.name);
        t->blocks[t->n_blocks] = b;
        if (check_place(t, t->n_blocks, err) < 0)
            return -1;
    }
    if (reader_left(r) > 0)
        return err_set(err, ERR_PEER, "%zu bytes too long", reader_left(r));
    if (checksum_part_bytes(t, n) > TAIL_MAX)
        return err_set(err, ERR_PEER, "%" PRIu64 " bytes of device sections",
                       checksum_part_bytes(t, n));
    return 0;
}

static int decode(struct checksum_table *t, struct error *err)
{
    if (check_whole(&t->bytes, err) < 0)
        return -1;
    struct reader r = reader_of(t->bytes.data, t->bytes.len - CHECKSUM_END_LEN);
    get_bytes(&r, MAGIC_LEN);
    uint32_t version = get_u32(&r), n_blocks = get_u32(&r);
    get_u64(&r); /* the length: check_whole() */
    t->stream_bytes = get_u64(&r);
    t->distance = get_u64(&r);
    memcpy(t->tail, get_bytes(&r, CHECKSUM_LEN), CHECKSUM_LEN);
    if (version != VERSION)
        return err_set(err, ERR_PEER, "version %u, expected %d", version, VERSION);
    if (n_blocks > RAM_BLOCKS_MAX)
        return err_set(err, ERR_PEER, "%u RAM blocks, expected at most %d", n_blocks,
                       RAM_BLOCKS_MAX);
    if (t->stream_bytes > INT64_MAX / 2 || t->distance != checksum_distance(t->stream_bytes))
        return err_set(err, ERR_PEER, "at 0x%" PRIx64 " after a stream of 0x%" PRIx64 " bytes",
                       t->distance, t->stream_bytes);
    return get_blocks(&r, t, n_blocks, err);
}

int checksum_table_decode(struct buf *bytes, struct checksum_table *ret, struct error *err)
{
    struct checksum_table t = {.bytes = *bytes};

    *bytes = (struct buf){0};
    if (decode(&t, err) < 0) {
        checksum_table_done(&t);
        return err_in(err, "table of checksums");
    }
    *ret = t;
    return 0;
}

const struct checksum_block *checksum_table_find(const struct checksum_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_blocks; i++) {
        if (strcmp(t->blocks[i].name, name) == 0)
            return &t->blocks[i];
    }
    return NULL;
}

void checksum_table_done(struct checksum_table *t)
{
    free(t->blocks);
    buf_done(&t->bytes);
    *t = (struct checksum_table){0};
}
