/* The table of checksums: what is written is read, and nothing else is believed. */
#include "ram/checksum_table.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "tests/support/test.h"

#define MIB (UINT64_C(1) << 20)

/* Where the fields are: docs/wire.md. */
enum {
    AT_VERSION = 16,
    AT_BLOCKS = 20,
    AT_LENGTH = 24,
    AT_STREAM = 32,
    AT_DISTANCE = 40,
    AT_NAME = 64,
    AT_USED = 64 + 1 + 6,
    AT_BITMAP = AT_USED + 8,
    AT_PAGES = AT_USED + 16,
};

static uint8_t pieces[2][CHECKSUM_LEN] = {{1, 2, 3}, {0}};

static struct checksum_block two_blocks[] = {
    {"pc.ram", 3 * MIB, 0x1000, MIB, {0xaa}, pieces[0]},
    {"vga", 4096, 4 * MIB + 100, 5 * MIB, {0xbb}, pieces[0]},
};

static const struct checksum_table sample = {
    .stream_bytes = 5 * MIB + 4096 + 77,
    .tail = {0xcc},
    .blocks = two_blocks,
    .n_blocks = 2,
};

static struct buf encoded(void)
{
    struct buf b = {0};
    struct error err;

    OK(checksum_table_encode(&sample, &b, &err), err, "encode");
    return b;
}

static int decode(const struct buf *b, size_t len, struct checksum_table *ret, struct error *err)
{
    struct buf copy = {0};

    OK(buf_append(&copy, b->data, len, err), *err, "copy");
    return checksum_table_decode(&copy, ret, err);
}

static void round_trip(void **state)
{
    struct buf b = encoded();
    struct checksum_table t;
    struct error err;
    uint64_t len;

    (void)state;
    assert_true(checksum_table_begins(b.data, &len) && len == b.len);
    assert_true(checksum_table_ends(b.data + b.len - CHECKSUM_END_LEN, &len) && len == b.len);
    OK(decode(&b, b.len, &t, &err), err, "decode");
    CHECK(t.n_blocks == 2 && t.stream_bytes == sample.stream_bytes &&
              t.distance == ALIGN_UP(sample.stream_bytes, UINT64_C(4096)) && t.tail[0] == 0xcc,
          "other fields");
    const struct checksum_block *ram = checksum_table_find(&t, "pc.ram");
    CHECK(ram && ram->used_bytes == 3 * MIB && ram->bitmap_offset == 0x1000 &&
              ram->pages_offset == MIB && ram->head[0] == 0xaa &&
              memcmp(ram->pieces, pieces, sizeof(pieces)) == 0,
          "another block");
    assert_null(checksum_table_find(&t, "pc"));
    CHECK(checksum_part_start(&t, 1) == 4 * MIB && checksum_part_bytes(&t, 1) == 100 + 8 &&
              checksum_part_bytes(&t, 2) == 77,
          "other parts");
    checksum_table_done(&t);
    buf_done(&b);
}

/* Each bit counts, and each byte must be there. */
static void damage(void **state)
{
    struct buf b = encoded();
    struct checksum_table t;
    struct error err;

    (void)state;
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 0x10;
        CHECK(decode(&b, b.len, &t, &err) < 0 && err.kind == ERR_PEER, "byte %zu", i);
        b.data[i] ^= 0x10;
        CHECK(decode(&b, i, &t, &err) < 0 && err.kind == ERR_PEER, "cut at %zu", i);
    }
    buf_done(&b);
}

static const struct lie {
    const char *label;
    size_t at, len;
    uint64_t value;
    const char *refused;
} lies[] = {
    {"version", AT_VERSION, 4, 2, "version 2"},
    {"too many blocks", AT_BLOCKS, 4, UINT32_MAX, "4294967295 RAM blocks"},
    {"a block more", AT_BLOCKS, 4, 3, "a name"},
    {"a block less", AT_BLOCKS, 4, 1, "too long"},
    {"no block", AT_BLOCKS, 4, 0, "too long"},
    {"length", AT_LENGTH, 8, 100, "its own checksum"},
    {"endless", AT_LENGTH, 8, UINT64_MAX, "its own checksum"},
    {"a shorter stream", AT_STREAM, 8, 5 * MIB + 4095, "after a stream of 0x500fff"},
    {"a stream past the end", AT_STREAM, 8, UINT64_MAX, "after a stream"},
    {"distance", AT_DISTANCE, 8, 4096, "at 0x1000 after"},
    {"no name", AT_NAME, 1, 0, "a name"},
    {"a name past the end", AT_NAME, 1, 255, "a name"},
    {"an escape in a name", AT_NAME + 1, 1, 0x1b, "a name"},
    {"no memory", AT_USED, 8, 0, "length 0x0"},
    {"half a page", AT_USED, 8, 3 * MIB + 2048, "length 0x300800"},
    {"more than there can be", AT_USED, 8, UINT64_C(1) << 63, "length 0x8000"},
    {"more pieces than follow", AT_USED, 8, UINT64_C(1) << 40, "too short"},
    {"bitmap after its pages", AT_BITMAP, 8, 2 * MIB, "bitmap at 0x200000"},
    {"bitmap into its pages", AT_BITMAP, 8, MIB - 8, "bitmap at 0xffff8"},
    {"bitmap nowhere", AT_BITMAP, 8, UINT64_MAX - 7, "bitmap at"},
    {"pages past the stream", AT_PAGES, 8, 4 * MIB, "pages at 0x400000"},
    {"pages that wrap", AT_PAGES, 8, UINT64_MAX - MIB, "pages at"},
    {"pages over the next block's", AT_PAGES, 8, 2 * MIB + 4096, "'vga': bitmap at"},
};

/* With a checksum of its own that fits. */
static void seal(struct buf *b)
{
    checksum_bytes(b->data, b->len - CHECKSUM_END_LEN, b->data + b->len - CHECKSUM_END_LEN);
}

static void what_cannot_be(void **state)
{
    struct buf b = encoded();
    struct checksum_table t;
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        const struct lie *l = &lies[i];
        struct writer w = writer_of(b.data + l->at, l->len);
        uint8_t saved[8];

        memcpy(saved, b.data + l->at, l->len);
        put_be(&w, l->value, l->len);
        seal(&b);
        check_refused(l->label, decode(&b, b.len, &t, &err), &err, ERR_PEER, l->refused);
        check_refused(l->label, -1, &err, ERR_PEER, "table of checksums: ");
        memcpy(b.data + l->at, saved, l->len);
    }
    seal(&b);
    OK(decode(&b, b.len, &t, &err), err, "as it was");
    checksum_table_done(&t);
    buf_done(&b);
}

static void one_name_twice(void **state)
{
    struct checksum_block same[] = {two_blocks[0], two_blocks[1]};
    struct checksum_table twice = sample, t;
    struct buf out = {0};
    struct error err;

    (void)state;
    strcpy(same[1].name, "pc.ram");
    twice.blocks = same;
    OK(checksum_table_encode(&twice, &out, &err), err, "encode");
    check_refused("twice", decode(&out, out.len, &t, &err), &err, ERR_PEER, "listed twice");
    buf_done(&out);
}

/* The sum of a piece depends on each page, on its place, and on which of them are there. */
static void pieces_of_pages(void **state)
{
    static const uint8_t nothing[CHECKSUM_LEN];
    uint64_t sums[STRIPE_PAGES] = {0};
    uint8_t empty[CHECKSUM_LEN], first[CHECKSUM_LEN], second[CHECKSUM_LEN], zero[RAM_PAGE_SIZE];

    (void)state;
    checksum_piece(sums, STRIPE_PAGES, empty);
    assert_memory_equal(empty, nothing, CHECKSUM_LEN);
    memset(zero, 0, sizeof(zero));
    assert_true(checksum_page(zero) != 0); /* a page of zeros that is there is no absent one */
    sums[3] = checksum_page(zero);
    checksum_piece(sums, STRIPE_PAGES, first);
    assert_memory_not_equal(first, nothing, CHECKSUM_LEN);
    sums[4] = sums[3];
    sums[3] = 0;
    checksum_piece(sums, STRIPE_PAGES, second);
    assert_memory_not_equal(first, second, CHECKSUM_LEN);
    checksum_piece(sums, 7, first);
    assert_memory_not_equal(first, second, CHECKSUM_LEN);
}

/* The values of XXH3 do not depend on the library that computes them: these are from another. */
static void known_values(void **state)
{
    char text[CHECKSUM_TEXT_LEN];
    uint8_t sum[CHECKSUM_LEN];

    (void)state;
    checksum_bytes("", 0, sum);
    checksum_text(sum, text);
    assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
    checksum_bytes("ramjet", 6, sum);
    struct checksum_stream *s = checksum_stream_new();
    uint8_t streamed[CHECKSUM_LEN];
    assert_non_null(s);
    checksum_stream_add(s, "ram", 3);
    checksum_stream_add(s, "jet", 3);
    checksum_stream_end(s, streamed);
    checksum_stream_free(s);
    assert_memory_equal(sum, streamed, CHECKSUM_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),      cmocka_unit_test(damage),
        cmocka_unit_test(what_cannot_be),  cmocka_unit_test(one_name_twice),
        cmocka_unit_test(pieces_of_pages), cmocka_unit_test(known_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
