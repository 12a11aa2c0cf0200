/*
 * vmm/memory_fd.h: a block's memory, mapped from a descriptor: a memfd's or a file's.
 */
#pragma once

#include "ram/block.h"
#include "vmm/memory_backing_config.h"

/* Maps all of the block, whose length and page size are set. `fd` stays the caller's. */
MUST_USE int memory_fd_map(const struct memory_backing_config *config, struct ram_block *b, int fd,
                           struct error *err);
