/*
 * ram/file_read.h: reads from a file of which all must be there.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Reads all `len` bytes at `offset`. ERR_PEER: the file is shorter. Any thread. */
MUST_USE int file_read_exactly(int fd, void *to, size_t len, uint64_t offset, struct error *err);
