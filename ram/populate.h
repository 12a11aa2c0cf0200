/*
 * ram/populate.h: helper threads that populate a destination's memory ahead of the arriving pages.
 *
 * The kernel needs about as long to make a huge page as a channel needs to fill it from a socket:
 * if there are idle cores, helpers take this work off the channels. They populate only memory
 * shortly ahead of arriving pages: large areas that the source never sends stay untouched.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "ram/block.h"

struct populate;

/*
 * With `n_threads` 0, or no block with `host`, it has no threads and does nothing. The map must
 * outlive it, and its blocks must have their memory already.
 */
MUST_USE int populate_new(const struct ram_map *map, unsigned n_threads, struct populate **ret,
                          struct error *err);
/* Ends the threads. NULL is fine. */
void populate_free(struct populate *p);
/* Pages around `offset` are arriving: the memory after them is needed soon. Any thread, cheap. */
void populate_ahead(struct populate *p, const struct ram_block *b, uint64_t offset);
