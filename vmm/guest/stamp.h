/*
 * vmm/guest/stamp.h: what a page holds of which its writer knows page number and generation only.
 *
 *   word 0   the page's number
 *   word 1   its generation: how often it was written
 *   word 2   the sum of the filled words
 *   word 3   whose it is: from the seed
 *   then     filled words: word i is start + i * step, where start comes from all of the above and
 *            step is odd; the rest of the page (GUEST_FILL_PAGE), or of this line and three more,
 *            the page's last among them (GUEST_FILL_LINES); what lies between them stays zero
 *
 * Generation 0 was never written: zeros.
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

/* Vector registers 0 and 1 are lost. */
void stamp_write(const struct pen *pen, const struct stamp *s);
/* True if the page holds what stamp_write() leaves there; tells the host if not. */
bool stamp_verify(const struct pen *pen, const struct stamp *s);
