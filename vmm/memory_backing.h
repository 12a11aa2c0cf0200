/*
 * vmm/memory_backing.h: what a guest's memory is made of: kinds by name, and NUMA nodes. Errors say
 * what to do. Knows no KVM.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "ram/block.h"
#include "stream/cpr_state.h"

enum memory_kind {
    MEMORY_ANON,    /* private to this process, with a hint to use huge pages */
    MEMORY_MEMFD,   /* shared, without a name */
    MEMORY_HUGETLB, /* the same, in huge pages that were set aside */
    MEMORY_FILE,    /* shared, a file: on tmpfs, hugetlbfs or a disk */
    MEMORY_KINDS,
};

const char *memory_kind_name(enum memory_kind kind);
/* ERR_USAGE: no such kind. */
MUST_USE int memory_kind_find(const char *name, enum memory_kind *ret, struct error *err);

enum memory_sharing {
    MEMORY_SHARED_USUALLY, /* shared, except MEMORY_ANON */
    MEMORY_SHARED,         /* MEMORY_ANON: shared without a name, like MEMORY_MEMFD */
    MEMORY_PRIVATE,        /* writes stay in this process, whatever backs the memory */
};

struct memory_backing_config {
    enum memory_kind kind;
    enum memory_sharing sharing;
    uint64_t page_bytes; /* MEMORY_HUGETLB: 2 MiB or 1 GiB */
    const char *path;    /* MEMORY_FILE */
    bool keep;           /* MEMORY_FILE: the file exists, and is a guest's memory as it is */
    const char *numa;    /* the nodes that it must be on, "0,2-3"; NULL: any */
    /* Descriptors that another process, or this process's previous program, has handed over. The
     * memory exists already; its descriptor is taken out of them, by the block's name. NULL: the
     * memory is made. */
    struct cpr_state *handed;
};

#define MEMORY_BACKING_SYNTAX "anon|memfd|hugetlb[:2M|1G]|file:PATH"

/* Reads MEMORY_BACKING_SYNTAX: kind, page size and path; `path` points into `text`. ERR_USAGE. */
MUST_USE int memory_backing_parse(const char *text, struct memory_backing_config *ret,
                                  struct error *err);

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

bool memory_backing_is_shared(const struct memory_backing_config *config);
/* 0 where there are huge pages of this size, else ERR_USAGE. */
MUST_USE int memory_backing_check_huge(uint64_t page_bytes, struct error *err);
/*
 * A guest may run on shared memory, a file's or a memfd's, only while it is active in the guest's
 * process; making the memory activates it. ERR_SYSTEM: it is active in another process. A second
 * call does no harm. `fd`: from memory_backing_map().
 */
MUST_USE int memory_backing_activate(int fd, struct error *err);
void memory_backing_deactivate(int fd);

/* The number of huge pages of this size that are set aside and free. */
uint64_t memory_backing_huge_free(uint64_t page_bytes);
