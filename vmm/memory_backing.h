/*
 * vmm/memory_backing.h: makes a guest's memory, on NUMA nodes if need be. Errors say what to do.
 * Knows no KVM.
 */
#pragma once

#include "base/error.h"
#include "ram/block.h"
#include "vmm/memory_backing_config.h"

/*
 * Gives the block memory that is zero, bound before any page is touched, with no page populated;
 * ram_map_done() unmaps it. A file that is missing or empty is made as long as the block; one of
 * another length, or with data in it, is refused and left as it is. The file is never deleted: it
 * keeps what the guest wrote. A new file is activated; one that is kept is not, since another
 * guest may still run on it: memory_backing_activate().
 * Memory that was handed over is neither zero nor bound; it must be of this kind and as long as the
 * block, and a file must be the one that is named here.
 * *ret_fd: the file of the memory, or -1; the caller owns it, and closes it after the block is
 * gone, because b->fd may be the same.
 */
MUST_USE int memory_backing_map(const struct memory_backing_config *config, struct ram_block *b,
                                int *ret_fd, struct error *err);

/*
 * A guest may run on shared memory, a file's or a memfd's, only while it is active in the guest's
 * process; making the memory activates it. ERR_SYSTEM: it is active in another process. A second
 * call does no harm. `fd`: from memory_backing_map().
 */
MUST_USE int memory_backing_activate(int fd, struct error *err);
void memory_backing_deactivate(int fd);

/* huge_pages_free(), for users outside this folder. */
uint64_t memory_backing_huge_free(uint64_t page_bytes);
