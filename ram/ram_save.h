/*
 * ram/ram_save.h: the RAM section as a source writes it: block list, rounds, last round.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ram/page_sink.h"
#include "ram/ram_list.h"
#include "stream/section_handler.h"

/* How the main stream says that all pages before this point must be in place. */
enum ram_flush {
    RAM_FLUSH_NONE,    /* pages are in the main stream itself */
    RAM_FLUSH_WORD,    /* a FLUSH word at the start and the end of each round */
    RAM_FLUSH_SECTION, /* the end of each section says it: machine types ≤ 8.0 */
};

/*
 * RAM's saver. Its start is the block list and the first barrier; each part is a round; its end is
 * the round that has the pages that the paused guest left dirty.
 */
struct ram_save {
    struct section_saver base; /* with ram_saver_ops and ram_section */
    const struct ram_map *map;
    struct ram_round *round;
    struct page_sink *sink;
    enum ram_flush flush;
    bool addresses; /* x-ignore-shared: the list has each block's address */
    /* For a mapped-ram file, one per block: where the sink puts pages, and which pages it has
     * written. NULL: not a mapped-ram file. */
    const struct mapped_ram *mapped;
    const struct dirty_bitmap *written;
};

extern const struct section_saver_ops ram_saver_ops;
