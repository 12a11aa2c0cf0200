/*
 * capture/file_store.h: a RAM block whose pages are in a file only, at block->fd_offset of
 * block->fd.
 *
 * Where there is a block->direct_fd, long pieces that are page-aligned in memory are written
 * through it; then fd_offset is a multiple of 4096. Where there are block->page_sums, what is
 * written is summed up.
 */
#pragma once

#include "ram/block.h"

extern const struct ram_store_ops file_store;
