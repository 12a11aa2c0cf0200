/*
 * ram/ram_missing.h: the pages that a source still owes after it has switched to postcopy. It names
 * them by POSTCOPY_RAM_DISCARD: what it has not sent yet, or what was written since. Each of them
 * comes once more.
 */
#pragma once

#include "ram/block.h"
#include "ram/dirty_bitmap.h"
#include "stream/command.h"

struct ram_missing {
    const struct ram_map *map;   /* not owned; NULL: no block was named yet */
    struct dirty_bitmap *blocks; /* one for each block; without words: nothing of it was named */
};

/*
 * Adds what a command names. ERR_PEER: it is malformed, or a range is not one of a block that
 * travels. *m is zeroed before the first command; the map must outlive it, and its list is
 * complete.
 */
MUST_USE int ram_missing_add(struct ram_missing *m, const struct ram_map *map,
                             const struct command *c, struct error *err);
void ram_missing_done(struct ram_missing *m);

/* A page of the map has come. Does nothing where it was not missing; without a switch it is one
 * comparison. */
static inline void ram_missing_came(struct ram_missing *m, const struct ram_block *b,
                                    uint64_t offset)
{
    struct dirty_bitmap *missing = m->map ? &m->blocks[b - m->map->blocks] : NULL;

    if (missing && missing->words)
        dirty_bitmap_clear(missing, offset >> RAM_PAGE_BITS);
}
/* In pages. */
uint64_t ram_missing_count(const struct ram_missing *m);
/* At the stream's end: ERR_PEER if a page has not come. */
MUST_USE int ram_missing_check(const struct ram_missing *m, struct error *err);
