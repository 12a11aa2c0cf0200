/*
 * vmm/memory_backing_config.h: what a guest's memory is made of: kinds by name.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
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

bool memory_backing_is_shared(const struct memory_backing_config *config);
/* 0 where there are huge pages of this size, else ERR_USAGE. */
MUST_USE int memory_backing_check_huge(uint64_t page_bytes, struct error *err);
