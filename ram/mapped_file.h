/*
 * ram/mapped_file.h: the pages of a mapped-ram file, into guest memory, by several threads.
 */
#pragma once

#include "base/cancel.h"
#include "base/error.h"
#include "ram/ram_list.h"

struct mapped_file {
    int fd;
    uint64_t bytes;                  /* of the whole file */
    const struct mapped_ram *blocks; /* one for each of the map's */
};

/*
 * Reads every page that the file has into its block, which has its memory or store and tells what
 * was written (ram_block_track()). ERR_PEER: the file has a page behind its end. A cancel ends it.
 */
MUST_USE int mapped_file_load(const struct mapped_file *f, const struct ram_map *map,
                              unsigned n_threads, const struct cancel *cancel, struct error *err);
