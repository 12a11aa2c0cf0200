/*
 * vmm/dirty_told.h: a dirty source over one block whose writers say themselves what they have
 * written.
 */
#pragma once

#include "base/macros.h"
#include "ram/dirty_source.h"

struct dirty_told {
    struct dirty_source base;
    struct dirty_bitmap log; /* what was written since the last sync */
};

MUST_USE int dirty_told_init(struct dirty_told *d, uint64_t n_pages, struct error *err);
/* Zeroed is fine. */
void dirty_told_done(struct dirty_told *d);

/* Any thread, behind the write: a page is never clean too early. */
static inline void dirty_told_wrote(struct dirty_told *d, uint64_t page)
{
    dirty_bitmap_set(&d->log, page);
}
