/*
 * vmm/file_store.h: a RAM block whose pages are in a file only, at block->fd_offset of block->fd.
 */
#pragma once

#include "ram/block.h"

extern const struct ram_store_ops file_store;
