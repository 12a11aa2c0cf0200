/*
 * transport/uring_memory.h: memory that io_uring has pinned in advance, so that a send need not
 * find and pin its pages again. It is pinned once per process: the rings of other channels share
 * what the first one registered, if the kernel can do that (6.12); else each registers for itself.
 *
 * Registration only saves time. If it fails, the reason is kept and sends go without it.
 */
#pragma once

#include <stddef.h>
#include <sys/uio.h>

#include "transport/uring.h"

struct uring_memory; /* shared by all rings that use it */

/*
 * Registers these pieces for sends of the ring. NULL if that fails; uring_memory_refusal() says
 * why. The kernel keeps the pages that are there now: after a page is discarded (MADV_DONTNEED, a
 * balloon) and written anew, the ring would still send the old page.
 */
struct uring_memory *uring_memory_get(struct uring *u, const struct iovec *iov, size_t n);
/* After uring_done(). NULL is fine. */
void uring_memory_put(struct uring_memory *m);
/* The number of the registered buffer that contains the whole piece, or -1. */
int uring_memory_find(const struct uring_memory *m, const void *base, size_t len);

/* The last reason why nothing was registered; "" if there was none. The text lives for ever. */
const char *uring_memory_refusal(void);
/* Whether this kernel lets rings share registered memory. */
bool uring_memory_is_shared(struct uring *u);
