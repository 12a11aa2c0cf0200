/*
 * tests/support/memory.h: guest memory for tests: blocks with known contents.
 */
#pragma once

#include "ram/block.h"
#include "ram/ram_load.h"
#include "ram/stripe.h"

/* Adds a block with anonymous memory; `track`: with present bits, as a destination has. */
struct ram_block *memory_add(struct ram_map *map, const char *name, uint64_t n_pages, bool track);
/* Page p gets bytes that depend on (seed, p); every third stays zero where `zeros`. */
void memory_fill(struct ram_block *b, unsigned seed, bool zeros);
/* Adds the blocks of `from`, empty and tracked. */
void memory_like(struct ram_map *to, const struct ram_map *from);
/* A receiver of a stream that takes every block into anonymous memory, and waits for nobody. */
extern const struct ram_load_ops memory_load_ops;
/* Both maps have the same blocks with the same bytes. */
void memory_check_equal(const char *label, const struct ram_map *a, const struct ram_map *b);
/* Every page dirty. */
void round_set_all(struct ram_round *r);
