/*
 * vmm/dirty_uffd.h: a dirty source over any memory of this process, by userfaultfd's asynchronous
 * write protection (WP_ASYNC) and PAGEMAP_SCAN, both of Linux 6.7. Knows no KVM: it notices every
 * write through this process's mapping, by a vCPU or a thread, and no writer waits for another
 * thread.
 *
 * It does not notice what another process writes to shared memory, nor memory that is given back
 * (MADV_DONTNEED, a hole in the file) and not written again.
 */
#pragma once

#include "ram/block.h"
#include "ram/dirty_source.h"

/* 0 where this kernel and process can; otherwise ERR_SYSTEM says what is missing. */
MUST_USE int dirty_uffd_usable(struct error *err);

/*
 * A source over all blocks of the map, which outlives it and whose memory stays where it is.
 * Writers are slowed only between start() and stop(). In huge pages a page counts as dirty when any
 * part of its huge page was written; transparent huge pages are no such case, as writes split them.
 * start(), sync() and stop() are for one thread at a time.
 */
MUST_USE int dirty_uffd_new(const struct ram_map *map, struct dirty_source **ret,
                            struct error *err);
/* Stops it, too. NULL is fine. */
void dirty_uffd_free(struct dirty_source *s);
