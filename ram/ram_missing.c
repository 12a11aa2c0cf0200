#include "ram/ram_missing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define DISCARD_VERSION 0
#define RANGE_LEN       16 /* u64 offset, u64 length */

static int start(struct ram_missing *m, const struct ram_map *map, struct error *err)
{
    if (m->map)
        return 0;
    m->blocks = calloc(map->n, sizeof(*m->blocks));
    if (!m->blocks)
        return err_sys(err, "memory for the list of missing pages");
    m->map = map;
    return 0;
}

/* The command's head: u8 version, str8 name, u8 0. NULL: malformed. */
static struct ram_block *named_block(struct reader *r, const struct ram_map *map, struct error *err)
{
    char name[RAM_BLOCK_NAME] = "";
    uint8_t version = get_u8(r);
    size_t len = get_u8(r);
    const uint8_t *bytes = get_bytes(r, len);
    uint8_t end = get_u8(r);

    if (r->short_of || version != DISCARD_VERSION || end != 0) {
        err_set(err, ERR_PEER, "malformed: expected version %d, a block's name, and a zero byte",
                DISCARD_VERSION);
        return NULL;
    }
    memcpy(name, bytes, len);
    struct ram_block *b = ram_map_find(map, name);
    if (!b)
        err_set(err, ERR_PEER, "RAM block '%s' is not in the list", name);
    return b;
}

static int add_range(struct dirty_bitmap *missing, const struct ram_block *b, struct reader *r,
                     struct error *err)
{
    uint64_t offset = get_u64(r), len = get_u64(r);
    uint8_t *ignored;

    if (len == 0)
        return err_set(err, ERR_PEER, "RAM block '%s': an empty range at 0x%" PRIx64, b->name,
                       offset);
    if (ram_span(b, offset, len, &ignored, err) < 0)
        return -1;
    dirty_bitmap_set_range(missing, offset >> RAM_PAGE_BITS, (offset + len) >> RAM_PAGE_BITS);
    return 0;
}

static int add(struct ram_missing *m, struct reader *r, struct error *err)
{
    const struct ram_block *b = named_block(r, m->map, err);

    if (!b)
        return -1;
    size_t left = reader_left(r);
    if (left == 0 || left % RANGE_LEN != 0)
        return err_set(err, ERR_PEER, "%zu bytes of ranges, expected a multiple of %d", left,
                       RANGE_LEN);
    struct dirty_bitmap *missing = &m->blocks[b - m->map->blocks];
    if (!missing->words && dirty_bitmap_init(missing, ram_block_pages(b), err) < 0)
        return -1;
    while (reader_left(r) > 0) {
        if (add_range(missing, b, r, err) < 0)
            return -1;
    }
    return 0;
}

int ram_missing_add(struct ram_missing *m, const struct ram_map *map, const struct command *c,
                    struct error *err)
{
    struct reader r = reader_of(c->payload, c->len);

    return start(m, map, err) < 0 ? -1 : add(m, &r, err);
}

void ram_missing_done(struct ram_missing *m)
{
    for (size_t i = 0; m->map && i < m->map->n; i++)
        dirty_bitmap_done(&m->blocks[i]);
    free(m->blocks);
    *m = (struct ram_missing){0};
}

static uint64_t count(const struct dirty_bitmap *missing)
{
    return missing->words ? dirty_bitmap_count(missing) : 0;
}

uint64_t ram_missing_count(const struct ram_missing *m)
{
    uint64_t sum = 0;

    for (size_t i = 0; m->map && i < m->map->n; i++)
        sum += count(&m->blocks[i]);
    return sum;
}

int ram_missing_check(const struct ram_missing *m, struct error *err)
{
    for (size_t i = 0; m->map && i < m->map->n; i++) {
        uint64_t pages = count(&m->blocks[i]);

        if (pages > 0)
            return err_set(err, ERR_PEER,
                           "RAM block '%s': discarded pages that did not come again: %" PRIu64,
                           m->map->blocks[i].name, pages);
    }
    return 0;
}
