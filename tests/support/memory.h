/*
 * tests/support/memory.h: guest memory for tests: blocks with known contents.
 */
#pragma once

#include "ram/block.h"
#include "ram/ram_load.h"
#include "ram/stripe.h"

/* Adds a block with anonymous memory; `track`: with present bits, as a destination has. */
struct ram_block *memory_add(struct ram_map *map, const char *name, uint64_t n_pages, bool track);
/* Page p gets bytes that depend on (seed, p); if `zeros`, every third page stays zero. */
void memory_fill(struct ram_block *b, unsigned seed, bool zeros);
/* Adds the blocks of `from`, empty and tracked. */
void memory_like(struct ram_map *to, const struct ram_map *from);
/* For the receiver of a stream: every block gets anonymous memory; a barrier does not wait. */
extern const struct ram_load_ops memory_load_ops;
/* Checks that both maps have the same blocks with the same bytes. */
void memory_check_equal(const char *label, const struct ram_map *a, const struct ram_map *b);
/* Marks every page dirty. */
void round_set_all(struct ram_round *r);
