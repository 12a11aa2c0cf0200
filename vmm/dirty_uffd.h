/*
 * vmm/dirty_uffd.h: a dirty source over any memory of this process, by userfaultfd's asynchronous
 * write protection (WP_ASYNC) and PAGEMAP_SCAN, both of Linux 6.7. Knows no KVM: whoever writes
 * through this process's mapping is noticed, a vCPU or a thread, and waits for nobody.
 *
 * Not noticed: what another process writes to shared memory, and memory that is given back
 * (MADV_DONTNEED, a hole in the file) without being written again.
 */
#pragma once

#include "ram/block.h"
#include "ram/dirty_source.h"

/* 0 where this kernel and process can, else what is missing, as ERR_SYSTEM. */
MUST_USE int dirty_uffd_usable(struct error *err);

/*
 * A source over all blocks of the map, which outlives it and whose memory stays where it is. Until
 * start() writers are not slowed, and after stop() no longer. A page of memory in huge pages is
 * dirty when any part of its huge page is, except in transparent ones, which are split by writes.
 * start(), sync() and stop() by one thread at a time.
 */
MUST_USE int dirty_uffd_new(const struct ram_map *map, struct dirty_source **ret,
                            struct error *err);
/* Stops it, too. NULL is fine. */
void dirty_uffd_free(struct dirty_source *s);
