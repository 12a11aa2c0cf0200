/*
 * vmm/memory_handed.h: a block's memory that another process, or this process's previous program,
 * has handed over: whether it is what this machine would have made, and where it goes.
 */
#pragma once

#include "ram/block.h"
#include "vmm/memory_backing_config.h"

/* Takes the block's descriptor out of config->handed; *ret_fd as by memory_backing_map(). */
MUST_USE int memory_handed_map(const struct memory_backing_config *config, struct ram_block *b,
                               int *ret_fd, struct error *err);
