/*
 * ram/dirty_source.h: who knows which pages a running guest has written.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "ram/dirty_bitmap.h"

struct dirty_source;

struct dirty_source_ops {
    /* From now on every write is noticed. Before the first page is read. */
    int (*start)(struct dirty_source *s, struct error *err);
    /*
     * Moves what was noticed since the last call into bitmaps[i] of block i. Between two rounds,
     * by one thread, the guest running or stopped. *ret_pages: how many bits were new.
     */
    int (*sync)(struct dirty_source *s, struct dirty_bitmap *bitmaps, uint64_t *ret_pages,
                struct error *err);
    /*
     * Makes writes to these pages noticed again, before they are read; by the thread that claimed
     * the stripe. Bit i of words[i / 64] is page first_page + i, first_page a multiple of 64; of
     * the other pages what was noticed must not be forgotten. NULL: sync has done that.
     */
    int (*rearm)(struct dirty_source *s, size_t block, uint64_t first_page, uint64_t n_pages,
                 const uint64_t *words, struct error *err);
    /* Also where start() was not called, or failed. */
    void (*stop)(struct dirty_source *s);
};

struct dirty_source {
    const struct dirty_source_ops *ops;
};
