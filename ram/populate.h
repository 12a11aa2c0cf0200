/*
 * ram/populate.h: helper threads that build a destination's memory ahead of the pages that come.
 *
 * Building a huge page costs about as much as filling it from a socket: where there are idle
 * cores, doing it ahead takes it off the channels. Only memory close in front of arriving pages is
 * built: large areas that the source never sends stay untouched.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "ram/block.h"

struct populate;

/*
 * `n_threads` 0, or no block with `host`: a populate that does nothing, without threads. The map
 * must outlive it, and its blocks have what they get of memory.
 */
MUST_USE int populate_new(const struct ram_map *map, unsigned n_threads, struct populate **ret,
                          struct error *err);
/* Ends the threads. NULL is fine. */
void populate_free(struct populate *p);
/* Pages around `offset` are arriving: what follows will be wanted soon. Any thread, cheap. */
void populate_ahead(struct populate *p, const struct ram_block *b, uint64_t offset);
