/*
 * ram/dirty_source.h: the interface to what knows which pages a running guest has written.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "ram/dirty_bitmap.h"

struct dirty_source;

struct dirty_source_ops {
    /* From now on every write is noticed. Called before the first page is read. */
    int (*start)(struct dirty_source *s, struct error *err);
    /*
     * Moves the writes noticed since the last call into bitmaps[i] for block i. Called between two
     * rounds, by one thread, while the guest runs or is stopped. *ret_pages: how many bits were
     * new.
     */
    int (*sync)(struct dirty_source *s, struct dirty_bitmap *bitmaps, uint64_t *ret_pages,
                struct error *err);
    /*
     * Makes the source notice writes to these pages again. Called before the pages are read, by the
     * thread that claimed the stripe. Bit i % 64 of words[i / 64] is page first_page + i;
     * first_page is a multiple of 64. Writes noticed of other pages must not be lost. NULL: sync
     * has re-armed them already.
     */
    int (*rearm)(struct dirty_source *s, size_t block, uint64_t first_page, uint64_t n_pages,
                 const uint64_t *words, struct error *err);
    /* May be called even if start() was not called, or failed. */
    void (*stop)(struct dirty_source *s);
};

struct dirty_source {
    const struct dirty_source_ops *ops;
};
