/*
 * capture/plain_pages.h: the pages of a plain stream in a file. They come in records and have no
 * places in the file, as those of a mapped-ram snapshot have: a reader takes them into memory, or
 * only counts them.
 */
#pragma once

#include "ram/block.h"

enum snapshot_pages {
    PAGES_COUNTED, /* which pages are there; their bytes cannot be read later */
    PAGES_LOADED,  /* into memory: ERR_USAGE where there is not enough */
};

/* Gives each block its memory, or the store that drops pages, and present bits. */
MUST_USE int plain_pages_place(struct ram_map *map, enum snapshot_pages pages, struct error *err);
/* Takes it away from a block again. */
void plain_pages_drop(struct ram_block *b);
