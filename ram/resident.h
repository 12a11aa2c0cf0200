/*
 * ram/resident.h: which pages of a block exist at all. Memory that was never touched is zero, and
 * reading it to find that out would make the kernel map pages for it.
 */
#pragma once

#include "base/error.h"
#include "ram/block.h"
#include "ram/dirty_bitmap.h"

/*
 * Sets in `ret` every page of the block that may hold something other than zeros. It uses the
 * block's own present bits; else the data areas of the block's file; else what the kernel says is
 * mapped (PAGEMAP_SCAN, or /proc/self/pagemap). If these fail, it sets all pages. Writes after the
 * start of the call may be missed: start the dirty source first.
 */
MUST_USE int ram_resident(const struct ram_block *b, struct dirty_bitmap *ret, struct error *err);

/* "pagemap-scan", "pagemap" or "none": how this kernel says which anonymous pages exist. */
const char *ram_resident_method(void);
