#include "ram/checksum_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "ram/file_read.h"
#include "stream/stream_format.h"

#define CHUNK 262144 /* bytes that one call reads */

static int add_range(int fd, struct checksum_stream *s, uint64_t offset, uint64_t len,
                     struct error *err)
{
    uint8_t *chunk = malloc(CHUNK);
    int rc = chunk ? 0 : err_sys(err, "memory for a checksum");

    for (uint64_t done = 0; rc == 0 && done < len;) {
        size_t n = MIN(len - done, (uint64_t)CHUNK);

        rc = file_read_exactly(fd, chunk, n, offset + done, err);
        if (rc == 0)
            checksum_stream_add(s, chunk, n);
        done += n;
    }
    free(chunk);
    return rc;
}

/* Sums up part `i` of the stream that begins at byte `start` of the file. */
static int sum_part(int fd, uint64_t start, const struct checksum_table *t, size_t i,
                    uint8_t ret[static CHECKSUM_LEN], struct error *err)
{
    uint64_t at = start + checksum_part_start(t, i), lead = checksum_part_lead(t, i);
    struct checksum_stream *s = checksum_stream_new();

    if (!s)
        return err_sys(err, "memory for a checksum");
    int rc = add_range(fd, s, at, lead, err);
    if (rc == 0 && i < t->n_blocks) {
        uint64_t bitmap = start + t->blocks[i].bitmap_offset;

        rc = add_range(fd, s, bitmap, at + checksum_part_bytes(t, i) - bitmap, err);
    }
    if (rc == 0)
        checksum_stream_end(s, ret);
    checksum_stream_free(s);
    return rc;
}

/* --- writing --------------------------------------------------------------------------------- */

/* Sums up a block's pieces; the caller frees *ret. */
static int sum_pieces(const struct ram_block *b, const struct checksum_pages *pages, uint8_t **ret,
                      struct error *err)
{
    uint64_t n_pages = ram_block_pages(b);
    uint8_t *to = malloc(checksum_n_pieces(b->used_bytes) * CHECKSUM_LEN);

    if (!to)
        return err_sys(err, "memory for checksums");
    *ret = to;
    for (uint64_t first = 0; first < n_pages; first += STRIPE_PAGES, to += CHECKSUM_LEN) {
        unsigned n = (unsigned)MIN(n_pages - first, (uint64_t)STRIPE_PAGES);
        uint64_t sums[STRIPE_PAGES];

        for (unsigned i = 0; i < n; i++) {
            uint64_t page = first + i;
            uint64_t word = atomic_load_explicit(&pages->present[page / 64], memory_order_relaxed);

            sums[i] = word >> page % 64 & 1
                          ? atomic_load_explicit(&pages->sums[page], memory_order_relaxed)
                          : 0;
        }
        checksum_piece(sums, n, to);
    }
    return 0;
}

static int describe_block(const struct checksum_stream_file *f, size_t i,
                          const struct checksum_pages *pages, struct checksum_table *t,
                          struct error *err)
{
    const struct ram_block *b = &f->map->blocks[i];
    struct checksum_block *to = &t->blocks[t->n_blocks];
    uint8_t *pieces;

    strcpy(to->name, b->name);
    to->used_bytes = b->used_bytes;
    to->bitmap_offset = f->mapped[i].bitmap_offset - f->start;
    to->pages_offset = f->mapped[i].pages_offset - f->start;
    if (sum_pieces(b, pages, &pieces, err) < 0)
        return -1;
    to->pieces = pieces;
    t->n_blocks++;
    return 0;
}

static int describe(const struct checksum_stream_file *f, const struct checksum_pages *pages,
                    struct checksum_table *t, struct error *err)
{
    t->stream_bytes = f->end - f->start;
    t->blocks = calloc(MAX(f->map->n, (size_t)1), sizeof(*t->blocks));
    if (!t->blocks)
        return err_sys(err, "memory for checksums");
    for (size_t i = 0; i < f->map->n; i++) {
        if (f->map->blocks[i].travel == RAM_TRAVELS && describe_block(f, i, &pages[i], t, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < t->n_blocks; i++) {
        if (sum_part(f->fd, f->start, t, i, t->blocks[i].head, err) < 0)
            return -1;
    }
    return sum_part(f->fd, f->start, t, t->n_blocks, t->tail, err);
}

int checksum_file_write(const struct checksum_stream_file *f, const struct checksum_pages *pages,
                        struct error *err)
{
    struct checksum_table t = {0};
    struct buf bytes = {0};
    int rc = describe(f, pages, &t, err);

    if (rc == 0)
        rc = checksum_table_encode(&t, &bytes, err);
    if (rc == 0 && fd_pwrite_all(f->fd, bytes.data, bytes.len,
                                 (off_t)(f->start + checksum_distance(t.stream_bytes))) < 0)
        rc = err_sys(err, "writing its checksums");
    for (size_t i = 0; i < t.n_blocks; i++)
        free(UNQUALIFIED(t.blocks[i].pieces));
    checksum_table_done(&t);
    buf_done(&bytes);
    return rc;
}

/* --- finding --------------------------------------------------------------------------------- */

/* Reads the table of `len` bytes at byte `at`. */
static int read_table(int fd, uint64_t file_bytes, uint64_t at, uint64_t len, struct checksums *ret,
                      struct error *err)
{
    struct checksums c = {.found = true};

    if (len > CHECKSUM_TABLE_MAX || len > file_bytes - at)
        return err_set(err, ERR_PEER,
                       "table of checksums: at byte %" PRIu64 " with %" PRIu64
                       " bytes, but the file has %" PRIu64 ": was it cut?",
                       at, len, file_bytes);
    struct buf bytes = {.data = malloc(MAX(len, UINT64_C(1))), .len = len};
    if (!bytes.data)
        return err_sys(err, "memory for checksums");
    if (file_read_exactly(fd, bytes.data, len, at, err) < 0) {
        buf_done(&bytes);
        return -1;
    }
    if (checksum_table_decode(&bytes, &c.table, err) < 0)
        return -1;
    if (c.table.distance > at) {
        checksums_done(&c);
        return err_set(err, ERR_PEER,
                       "table of checksums: of a stream that begins before the file");
    }
    c.start = at - c.table.distance;
    c.after = file_bytes - at - len;
    *ret = c;
    return 0;
}

int checksums_at_end(int fd, uint64_t file_bytes, struct checksums *ret, struct error *err)
{
    uint8_t end[CHECKSUM_END_LEN];
    uint64_t len;

    *ret = (struct checksums){0};
    if (file_bytes < CHECKSUM_END_LEN)
        return 0;
    if (file_read_exactly(fd, end, sizeof(end), file_bytes - sizeof(end), err) < 0)
        return -1;
    if (!checksum_table_ends(end, &len))
        return 0;
    if (len > file_bytes)
        return err_set(err, ERR_PEER,
                       "table of checksums: %" PRIu64 " bytes, the file has %" PRIu64, len,
                       file_bytes);
    return read_table(fd, file_bytes, file_bytes - len, len, ret, err);
}

static int look_after(int fd, uint64_t file_bytes, uint64_t start, uint64_t pages_end,
                      struct checksums *ret, struct error *err)
{
    *ret = (struct checksums){0};
    uint64_t at = start + ALIGN_UP(pages_end - start, (uint64_t)CHECKSUM_TABLE_ALIGN);
    uint64_t limit = MIN(file_bytes, pages_end + STREAM_DEVICES_MAX);
    uint8_t head[CHECKSUM_HEAD_LEN];
    uint64_t len;

    for (; at + CHECKSUM_HEAD_LEN <= limit; at += CHECKSUM_TABLE_ALIGN) {
        if (file_read_exactly(fd, head, sizeof(head), at, err) < 0)
            return -1;
        if (checksum_table_begins(head, &len))
            return read_table(fd, file_bytes, at, len, ret, err);
    }
    return 0;
}

int checksums_after(int fd, uint64_t file_bytes, uint64_t start, uint64_t pages_end,
                    struct checksums *ret, struct error *err)
{
    if (look_after(fd, file_bytes, start, pages_end, ret, err) < 0)
        return -1;
    if (ret->found && ret->start != start)
        checksums_done(ret);
    return 0;
}

void checksums_done(struct checksums *c)
{
    checksum_table_done(&c->table);
    *c = (struct checksums){0};
}

/* --- checking -------------------------------------------------------------------------------- */

int checksums_part(int fd, const struct checksums *c, size_t i, bool *ret_same,
                   uint8_t ret_found[static CHECKSUM_LEN], struct error *err)
{
    if (sum_part(fd, c->start, &c->table, i, ret_found, err) < 0)
        return -1;
    *ret_same = memcmp(ret_found, checksum_part_sum(&c->table, i), CHECKSUM_LEN) == 0;
    return 0;
}

void checksums_part_text(const struct checksums *c, size_t i, char ret[static CHECKSUM_PART_TEXT])
{
    if (i == c->table.n_blocks)
        snprintf(ret, CHECKSUM_PART_TEXT, "the device sections");
    else
        snprintf(ret, CHECKSUM_PART_TEXT, "the header and the bitmap of RAM block '%s'",
                 c->table.blocks[i].name);
}

static int damaged_part(const struct checksums *c, size_t i,
                        const uint8_t found[static CHECKSUM_LEN], struct error *err)
{
    char text[CHECKSUM_PART_TEXT], want[CHECKSUM_TEXT_LEN], have[CHECKSUM_TEXT_LEN];
    uint64_t at = c->start + checksum_part_start(&c->table, i);

    checksums_part_text(c, i, text);
    checksum_text(found, have);
    checksum_text(checksum_part_sum(&c->table, i), want);
    return err_set(err, ERR_PEER,
                   "%s: damaged in bytes 0x%" PRIx64 "-0x%" PRIx64
                   " of the file: the checksum is %s, expected %s",
                   text, at, at + checksum_part_bytes(&c->table, i) - 1, have, want);
}

static int stale(struct error *err)
{
    return err_set_with(err, ERR_PEER, REMEDY_CHECKSUMS,
                        "its checksums are those of another stream: the file was written again "
                        "after they were made");
}

/* One accident does not reach both ends of the stream. */
static int check_parts(int fd, const struct checksums *c, struct error *err)
{
    uint8_t found[CHECKSUM_LEN], first_found[CHECKSUM_LEN];
    size_t n = c->table.n_blocks, bad = SIZE_MAX;
    bool same = true;

    for (size_t i = 0; i <= n; i++) {
        if (checksums_part(fd, c, i, &same, found, err) < 0)
            return -1;
        if (same || bad != SIZE_MAX)
            continue;
        bad = i;
        memcpy(first_found, found, sizeof(found));
    }
    if (bad == SIZE_MAX)
        return 0;
    return bad == 0 && n > 0 && !same ? stale(err) : damaged_part(c, bad, first_found, err);
}

int checksums_open(int fd, uint64_t file_bytes, uint64_t start, struct checksums *ret,
                   struct error *err)
{
    if (checksums_at_end(fd, file_bytes, ret, err) < 0)
        return -1;
    if (ret->found && ret->start != start)
        checksums_done(ret);
    return ret->found ? check_parts(fd, ret, err) : 0;
}

static bool is_of(const struct checksum_block *sums, const struct checksums *c,
                  const struct ram_block *b, const struct mapped_ram *m)
{
    return sums && sums->used_bytes == b->used_bytes &&
           c->start + sums->bitmap_offset == m->bitmap_offset &&
           c->start + sums->pages_offset == m->pages_offset;
}

static int give_pieces(const struct checksums *c, const struct ram_map *map,
                       const struct mapped_ram *mapped, struct error *err)
{
    size_t n = 0;

    for (size_t i = 0; i < map->n; i++) {
        struct ram_block *b = &map->blocks[i];
        const struct checksum_block *sums = checksum_table_find(&c->table, b->name);

        if (b->travel != RAM_TRAVELS)
            continue;
        if (!is_of(sums, c, b, &mapped[i]))
            return stale(err);
        b->checksums = sums->pieces;
        n++;
    }
    return n == c->table.n_blocks ? 0 : stale(err);
}

static uint64_t pages_end(const struct ram_map *map, const struct mapped_ram *mapped,
                          uint64_t start)
{
    uint64_t end = start;

    for (size_t i = 0; i < map->n; i++) {
        if (map->blocks[i].travel == RAM_TRAVELS)
            end = MAX(end, mapped[i].pages_offset + map->blocks[i].used_bytes);
    }
    return end;
}

int checksums_apply(int fd, uint64_t file_bytes, uint64_t start, const struct ram_map *map,
                    const struct mapped_ram *mapped, struct checksums *c, struct error *err)
{
    if (!c->found) {
        if (checksums_after(fd, file_bytes, start, pages_end(map, mapped, start), c, err) < 0 ||
            (c->found && check_parts(fd, c, err) < 0))
            return -1;
    }
    return c->found ? give_pieces(c, map, mapped, err) : 0;
}
