/*
 * ram/ram_list.h: the RAM block list, both ways: the MEM_SIZE word, then a name and a length per
 * block; with x-ignore-shared its guest-physical address; and in a mapped-ram file a header that
 * says where the block's pages are: nowhere, both offsets 0, for a block that is ignored.
 * Format: QEMU, migration/ram.c; all integers big-endian, the words of a bitmap little-endian.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "ram/block.h"
#include "ram/dirty_bitmap.h"
#include "stream/stream_in.h"
#include "stream/stream_out.h"

/* One block of a mapped-ram file's list: where its bitmap and pages are, in bytes of the file. */
struct mapped_ram {
    uint64_t bitmap_offset, pages_offset;
};

static inline uint64_t mapped_ram_bitmap_bytes(const struct ram_block *b)
{
    return (ram_block_pages(b) + 63) / 64 * 8;
}

/*
 * Where a mapped-ram file whose list starts before byte `at` has what: ret[i] for block i; nowhere
 * for one that is ignored, or not listed. Returns where the last one's pages end: the file is
 * longer than that.
 */
uint64_t mapped_ram_layout(const struct ram_map *map, uint64_t at, struct mapped_ram *ret);

/*
 * Blocks that are not listed are left out; map->total_bytes is of the others. `addresses`: with
 * x-ignore-shared. `mapped`, one per block, makes it the list of a mapped-ram file: each block's
 * bitmap, its present bits, is written too, and its pages are jumped over. NULL: the list alone.
 */
void ram_list_out(struct stream_out *out, const struct ram_map *map, bool addresses,
                  const struct mapped_ram *mapped);

/*
 * Writes the bitmaps of a mapped-ram file, whose pages are in place, and goes back to where the
 * stream was: behind ram_list_out() with `mapped`. `written`, one per block: pages that it has.
 */
void ram_list_bitmaps_out(struct stream_out *out, const struct ram_map *map,
                          const struct mapped_ram *mapped, const struct dirty_bitmap *written);

/*
 * Reads what follows the MEM_SIZE word, which said `total_bytes`, into the empty map. `addresses`
 * as above. `ret_mapped`: it is the list of a mapped-ram file of `file_bytes`, which offsets must
 * not leave; nothing in it lies over anything else; one per block, the caller's to free(); blocks
 * without a place there are RAM_IGNORED. NULL: the list alone, `file_bytes` is not looked at.
 */
MUST_USE int ram_list_in(struct stream_in *in, uint64_t total_bytes, struct ram_map *map,
                         bool addresses, uint64_t file_bytes, struct mapped_ram **ret_mapped,
                         struct error *err);
