/*
 * vmm/dirty_software.h: a software dirty log: a dirty source over one block whose writers tell it
 * which pages they have written.
 */
#pragma once

#include "base/macros.h"
#include "ram/dirty_source.h"

struct dirty_software {
    struct dirty_source base;
    struct dirty_bitmap log; /* what was written since the last sync */
};

MUST_USE int dirty_software_init(struct dirty_software *d, uint64_t n_pages, struct error *err);
/* Zeroed is fine. */
void dirty_software_done(struct dirty_software *d);

/* Any thread, after the write, not before: a sync in between would lose the page. */
static inline void dirty_software_wrote(struct dirty_software *d, uint64_t page)
{
    dirty_bitmap_set(&d->log, page);
}
