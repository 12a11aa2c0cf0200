/*
 * vmm/memory_backing.h: what a guest's memory is made of: kinds by name, NUMA nodes, and an error
 * that says what to do. Knows no KVM.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "ram/block.h"
#include "stream/cpr_state.h"

enum memory_kind {
    MEMORY_ANON,    /* of this process alone, advised to be in huge pages */
    MEMORY_MEMFD,   /* shared, without a name */
    MEMORY_HUGETLB, /* the same, in huge pages that were set aside */
    MEMORY_FILE,    /* shared, a file: on tmpfs, hugetlbfs or a disk */
    MEMORY_KINDS,
};

const char *memory_kind_name(enum memory_kind kind);
/* ERR_USAGE: no such kind. */
MUST_USE int memory_kind_find(const char *name, enum memory_kind *ret, struct error *err);

enum memory_sharing {
    MEMORY_SHARED_USUALLY, /* all but MEMORY_ANON */
    MEMORY_SHARED,         /* MEMORY_ANON: shared without a name, as MEMORY_MEMFD */
    MEMORY_PRIVATE,        /* what is written stays in this process, whatever is behind it */
};

struct memory_backing_config {
    enum memory_kind kind;
    enum memory_sharing sharing;
    uint64_t page_bytes; /* MEMORY_HUGETLB: 2 MiB or 1 GiB */
    const char *path;    /* MEMORY_FILE */
    bool keep;           /* MEMORY_FILE: it is there, and is a guest's memory as it is */
    const char *numa;    /* the nodes that it must be on, "0,2-3"; NULL: any */
    /* Descriptors that another process, or another program in this one, has handed over: the memory
     * is there already, as it is, and its descriptor is taken out of them, by the block's name.
     * NULL: it is made. */
    struct cpr_state *handed;
};

#define MEMORY_BACKING_SYNTAX "anon|memfd|hugetlb[:2M|1G]|file:PATH"

/* All but `keep` and `numa`, out of MEMORY_BACKING_SYNTAX; `path` points into `text`. ERR_USAGE. */
MUST_USE int memory_backing_parse(const char *text, struct memory_backing_config *ret,
                                  struct error *err);

/*
 * Gives the block memory that is zero, bound before anything is touched, and nothing is populated;
 * it goes with ram_map_done(). A file that is missing or empty is made as long as the block; one
 * with another length, or with data in it, is refused and left as it is. It stays behind with what
 * the guest wrote. A new file is claimed; one that is kept is not, since another guest may still
 * run on it: memory_backing_claim().
 * Memory that was handed over is neither zero nor bound; it has to be of this kind, as long as the
 * block, and a file the one that is named here.
 * *ret_fd: the file behind the memory, the caller's, or -1; it outlives the block, because b->fd
 * may be the same.
 */
MUST_USE int memory_backing_map(const struct memory_backing_config *config, struct ram_block *b,
                                int *ret_fd, struct error *err);

bool memory_backing_is_shared(const struct memory_backing_config *config);
/* 0 where huge pages come in this size, else ERR_USAGE. */
MUST_USE int memory_backing_check_huge(uint64_t page_bytes, struct error *err);
/*
 * A guest runs on memory that others can have, a file's or a memfd's, only while its process has
 * claimed it, as it has when the memory is made. ERR_SYSTEM, from claim: another
 * has; once more does no harm. `fd`: what memory_backing_map() gave.
 */
MUST_USE int memory_backing_claim(int fd, struct error *err);
void memory_backing_yield(int fd);

/* Huge pages of this size that are set aside, and free. */
uint64_t memory_backing_huge_free(uint64_t page_bytes);
