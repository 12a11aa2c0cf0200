/*
 * ram/resident.h: which pages of a block exist at all. Never-touched memory is zero, and reading
 * it to find that out would make the kernel build it.
 */
#pragma once

#include "base/error.h"
#include "ram/block.h"
#include "ram/dirty_bitmap.h"

/*
 * Sets in `ret` every page of the block that may hold anything but zeros: asks the file behind the
 * block for its data, the kernel for what is mapped (PAGEMAP_SCAN, or /proc/self/pagemap), or the
 * block's own present bits. Where nobody can tell, all pages. Writes from the start of the call on
 * may be missed: start the dirty source first.
 */
MUST_USE int ram_resident(const struct ram_block *b, struct dirty_bitmap *ret, struct error *err);

/* "pagemap-scan", "pagemap" or "none": how this kernel tells of anonymous memory. */
const char *ram_resident_method(void);
