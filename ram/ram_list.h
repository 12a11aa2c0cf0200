/*
 * ram/ram_list.h: writes and reads the RAM block list: the MEM_SIZE word, then a name and a length
 * for each block; with x-ignore-shared also its guest-physical address; in a mapped-ram file also a
 * header that says where the block's pages are. An ignored block has none: both offsets are 0.
 * Format: QEMU, migration/ram.c; all integers big-endian, the words of a bitmap little-endian.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "ram/block.h"
#include "ram/dirty_bitmap.h"
#include "stream/section_handler.h"

/* The section that begins with the list. */
extern const struct section_kind ram_section;

/* One block of a mapped-ram file's list: where its bitmap and pages are, in bytes of the file. */
struct mapped_ram {
    uint64_t bitmap_offset, pages_offset;
};

static inline uint64_t mapped_ram_bitmap_bytes(const struct ram_block *b)
{
    return (ram_block_pages(b) + 63) / 64 * 8;
}

/*
 * Chooses where a mapped-ram file has its bitmaps and pages; its list starts before byte `at`.
 * ret[i] is for block i; both offsets are 0 for a block that is ignored or not listed. Returns
 * where the last block's pages end: the file goes on after that.
 */
uint64_t mapped_ram_layout(const struct ram_map *map, uint64_t at, struct mapped_ram *ret);

/*
 * Blocks that are not listed are left out; map->total_bytes does not count them. `addresses`: with
 * x-ignore-shared. `mapped`, one per block, makes it the list of a mapped-ram file: each block's
 * present bits are written as its bitmap, and the place of its pages is skipped. NULL: the list
 * alone.
 */
void ram_list_out(struct stream_out *out, const struct ram_map *map, bool addresses,
                  const struct mapped_ram *mapped);

/*
 * Writes the bitmaps of a mapped-ram file when its pages are in place, and then goes back to where
 * the stream was. Called after ram_list_out() with `mapped`. `written`, one per block: the pages
 * that the file has.
 */
void ram_list_bitmaps_out(struct stream_out *out, const struct ram_map *map,
                          const struct mapped_ram *mapped, const struct dirty_bitmap *written);

/*
 * Reads what follows the MEM_SIZE word, which said `total_bytes`, into the empty map. `addresses`
 * as above. With `ret_mapped` it is the list of a mapped-ram file of `file_bytes` bytes: all
 * offsets are checked to be inside the file, and no two parts of the file overlap. *ret_mapped has
 * one entry per block, and the caller frees it with free(). With `addresses`, a block without a
 * place in the file becomes RAM_IGNORED. NULL: the list alone; `file_bytes` is not used.
 */
MUST_USE int ram_list_in(struct stream_in *in, uint64_t total_bytes, struct ram_map *map,
                         bool addresses, uint64_t file_bytes, struct mapped_ram **ret_mapped,
                         struct error *err);
