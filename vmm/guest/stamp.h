/*
 * vmm/guest/stamp.h: a page's contents, which follow from its number, its generation and its owner.
 *
 *   word 0   the page's number
 *   word 1   its generation: how often it was written
 *   word 2   the sum of the filled words
 *   word 3   its owner, a number made from the seed and the vCPU
 *   then     filled words: word i is start + i * step, where start comes from all of the above and
 *            step is odd; the rest of the page (GUEST_FILL_PAGE), or of this line and three more,
 *            the page's last among them (GUEST_FILL_LINES); what lies between them stays zero
 *
 * A page of generation 0 was never written: zeros.
 */
#pragma once

#include "vmm/guest/env.h"

struct stamp {
    uint64_t page, generation, owner;
};

/* How pages are written. */
struct pen {
    uint64_t write, fill; /* of guest_params */
};

/* Overwrites vector registers 0 and 1. */
void stamp_write(const struct pen *pen, const struct stamp *s);
/* True if the page holds what stamp_write() leaves there; otherwise reports it to the host. */
bool stamp_verify(const struct pen *pen, const struct stamp *s);
