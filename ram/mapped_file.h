/*
 * ram/mapped_file.h: the pages of a mapped-ram file, into guest memory, by several threads.
 */
#pragma once

#include "base/cancel.h"
#include "base/error.h"
#include "ram/file_mapping.h"
#include "ram/ram_list.h"

/* As ram_list_in() has read it: bitmaps and pages are inside the file. */
struct mapped_file {
    int fd;
    int direct_fd;                   /* opened O_DIRECT, for pages alone; or -1 */
    const struct mapped_ram *blocks; /* one for each of the map's */
};

/*
 * The bits of one block's pages, of mapped_ram_bitmap_bytes(), page p as bit p % 64 of word p / 64.
 * ERR_PEER: one is of a page that the block has not got.
 */
MUST_USE int mapped_file_bitmap(const struct mapped_file *f, size_t block,
                                const struct ram_block *b, uint64_t *ret, struct error *err);

/*
 * Reads every page that the file has into its block, which has its memory or store and tells what
 * was written (ram_block_track()). `mapping`: what can be is mapped there instead of being read;
 * NULL: nothing. A cancel ends it.
 */
MUST_USE int mapped_file_load(const struct mapped_file *f, const struct ram_map *map,
                              struct file_mapping *mapping, unsigned n_threads,
                              const struct cancel *cancel, struct error *err);
