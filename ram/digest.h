/*
 * ram/digest.h: one number that says what a block holds: XXH64 over all its bytes. For comparing
 * two ends; no defence against anybody.
 */
#pragma once

#include <stdint.h>

#include "base/cancel.h"
#include "base/error.h"
#include "ram/block.h"

/*
 * Nobody may be writing. Pages that are not present count as zeros and are not touched. Much memory
 * takes long: `cancel` ends it, unless it is NULL.
 */
MUST_USE int ram_digest(struct ram_block *b, const struct cancel *cancel, uint64_t *ret,
                        struct error *err);
