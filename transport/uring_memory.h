/*
 * transport/uring_memory.h: memory that io_uring has pinned once, so that no send of it has to find
 * and pin its pages again. Pinned once per process: the rings of other channels share what the
 * first one registered, where the kernel can (6.12), else each registers for itself.
 *
 * Registering is a favour to speed. Where it is not to be had the reason is kept and sends go
 * without.
 */
#pragma once

#include <stddef.h>
#include <sys/uio.h>

#include "transport/uring.h"

struct uring_memory; /* shared by all rings that use it */

/*
 * Makes the ring send from these pieces by registration. NULL where that is not to be had:
 * uring_memory_refusal() tells why. The kernel keeps the pages that are there now: who discards
 * one (MADV_DONTNEED, a balloon) and writes a new one would go on sending the old one.
 */
struct uring_memory *uring_memory_get(struct uring *u, const struct iovec *iov, size_t n);
/* After uring_done(). NULL is fine. */
void uring_memory_put(struct uring_memory *m);
/* The number of the buffer that holds all of the piece, or -1. */
int uring_memory_find(const struct uring_memory *m, const void *base, size_t len);

/* The last reason why nothing was registered, "" if there was none. The text stays. */
const char *uring_memory_refusal(void);
/* Whether rings can share what is registered. */
bool uring_memory_is_shared(struct uring *u);
