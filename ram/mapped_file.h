/*
 * ram/mapped_file.h: several threads load the pages of a mapped-ram file into guest memory.
 */
#pragma once

#include "base/cancel.h"
#include "base/error.h"
#include "ram/file_mapping.h"
#include "ram/ram_list.h"

/* ram_list_in() has checked it: bitmaps and pages are inside the file. */
struct mapped_file {
    int fd;
    int direct_fd;                   /* opened O_DIRECT, for pages only; or -1 */
    const struct mapped_ram *blocks; /* one for each block of the map */
};

/*
 * Reads the bitmap of one block, mapped_ram_bitmap_bytes() long: page p is bit p % 64 of word
 * p / 64. ERR_PEER: a bit is set for a page past the block's end, or the file is too short.
 */
MUST_USE int mapped_file_bitmap(const struct mapped_file *f, size_t block,
                                const struct ram_block *b, uint64_t *ret, struct error *err);

/*
 * Reads every page that the file has into its block, which has its memory or store and its present
 * bits (ram_block_track()). With `mapping`, pages are mapped where possible instead of read; NULL:
 * all are read. A piece that is read as a whole is compared with its block's checksums, if there
 * are any; ERR_PEER where it differs. `cancel` ends the call.
 */
MUST_USE int mapped_file_load(const struct mapped_file *f, const struct ram_map *map,
                              struct file_mapping *mapping, unsigned n_threads,
                              const struct cancel *cancel, struct error *err);
