/*
 * capture/snapshot_stream.h: the main stream without pages: what a snapshot holds besides RAM.
 */
#pragma once

#include "migration/machine.h"
#include "ram/ram_list.h"

/*
 * Writes header, configuration, early devices, the RAM block list, RAM's end and the device tail to
 * a file, from byte `at` on.
 * `mapped` says, for each block, where a mapped-ram file has its pages; then the present bits are
 * written, too, as bitmaps. NULL: the pages are elsewhere. The descriptor stays the caller's.
 * *ret_end: the stream's length.
 */
MUST_USE int snapshot_stream_write(int fd, uint64_t at, const struct configuration *config,
                                   const struct ram_map *ram, const struct mapped_ram *mapped,
                                   const struct device_state *devices, uint64_t *ret_end,
                                   struct error *err);
