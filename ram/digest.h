/*
 * ram/digest.h: one number for a block's content: XXH64 over all its bytes. It is for comparing the
 * two ends; it does not protect against an attacker.
 */
#pragma once

#include <stdint.h>

#include "base/cancel.h"
#include "base/error.h"
#include "ram/block.h"

/*
 * Nothing may write the block meanwhile. Pages that are not present count as zeros and are not
 * read. A large block takes long: `cancel`, if not NULL, ends the call.
 */
MUST_USE int ram_digest(struct ram_block *b, const struct cancel *cancel, uint64_t *ret,
                        struct error *err);
