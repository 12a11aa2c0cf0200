/*
 * ram/block.h: guest memory: blocks with names, and ram_span(), the one checked way into them.
 *
 * A block's pages are in our memory (`host`), or only in a file (`store`): a receiver that captures
 * into a file needs no memory for the guest. Code that brings pages calls ram_span() first.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define RAM_PAGE_BITS  12
#define RAM_PAGE_SIZE  4096U
#define RAM_BLOCK_NAME 256                 /* bytes, with the terminator: a str8 fits */
#define RAM_BLOCKS_MAX 4096                /* a real machine has a few dozen */
#define RAM_BLOCK_MAX  (UINT64_C(1) << 46) /* bytes */

struct ram_block;

/*
 * Where the pages of a block without `host` are. Any thread; the ranges of simultaneous calls do
 * not overlap. Offsets and lengths are in bytes, page-aligned, checked by ram_span().
 */
struct ram_store_ops {
    int (*write)(struct ram_block *b, uint64_t offset, const void *bytes, size_t len,
                 struct error *err);
    /* Turns a range that was written before into zeros again. */
    int (*clear)(struct ram_block *b, uint64_t offset, size_t len, struct error *err);
    int (*read)(struct ram_block *b, uint64_t offset, void *bytes, size_t len, struct error *err);
};

/* What a migration does with a block. */
enum ram_travel {
    RAM_TRAVELS,
    RAM_IGNORED,    /* it is listed, but its pages stay where they are, also for the other end */
    RAM_NOT_LISTED, /* it is not part of the migration */
};

struct ram_block {
    /* Set before the threads start, read-only after. */
    char name[RAM_BLOCK_NAME];
    uint64_t used_bytes;      /* multiple of RAM_PAGE_SIZE, not 0 */
    uint8_t *host;            /* used_bytes of memory, or NULL */
    bool mapped;              /* host is ours: ram_map_done() unmaps it */
    bool replaceable;         /* host is plain anonymous memory: a file may take its place */
    uint64_t host_page_bytes; /* 4096, or the size of the huge pages that host consists of */
    const struct ram_store_ops *store; /* where host is NULL */
    int fd;                            /* the file behind host or store, or -1; not owned */
    int direct_fd;                     /* the same file, opened O_DIRECT, or -1; not owned */
    int memory_fd;                     /* of the memory at host if it is shared, or -1; not owned */
    uint64_t fd_offset;                /* of the block's first byte in that file */
    uint64_t address;                  /* guest-physical, of its first byte */
    bool migratable;                   /* whether it may be migrated; true unless changed */
    bool shared;                       /* others can map the same memory, by a descriptor … */
    bool named;                        /* … and by a file's name */
    bool kept;                         /* it and its content are older than this machine */
    enum ram_travel travel;            /* in the map of a migration */
    /*
     * Any thread, atomically. Page p is bit p % 64 of word p / 64. At a source, a bit is set if the
     * page may hold something other than zeros (NULL: every page may). At a destination, it is set
     * if the page was written.
     */
    _Atomic uint64_t *present;
    _Atomic bool zeroed; /* any thread: at a destination, a zero page of this block has come */
    /* Any thread: where the store sums up what is written, the sum of each page (ram/checksum.h);
     * else NULL. */
    _Atomic uint64_t *page_sums;
    /* What each piece must sum up to, CHECKSUM_LEN bytes each, if the block's file says so and what
     * is read shall be checked; else NULL. Not owned. */
    const uint8_t *checksums;
};

/* The blocks of a machine, in the order of the list. Fixed once a migration runs. */
struct ram_map {
    struct ram_block *blocks;
    size_t n;
    uint64_t total_bytes; /* of all blocks */
};

/* Adds a block; refuses an invalid name or length, and too many blocks. Not while threads use the
 * map. */
MUST_USE int ram_map_add(struct ram_map *map, const char *name, uint64_t used_bytes,
                         struct error *err);
/* NULL: no block has that name. */
struct ram_block *ram_map_find(const struct ram_map *map, const char *name);
/* ERR_USAGE if a block's memory is not page-aligned: the machine's owner chose its address. */
MUST_USE int ram_map_check_host(const struct ram_map *map, struct error *err);
/* Unmaps the memory that is ours and removes all blocks. */
void ram_map_done(struct ram_map *map);

/*
 * The one door: every (block, offset, length) that came from outside is checked here. Refuses, with
 * ERR_PEER, a range that is not page-aligned or leaves the block, and any range of a block that
 * does not travel. *ret_host is NULL if the pages are in a store: then use page_place.h.
 */
MUST_USE int ram_span(const struct ram_block *b, uint64_t offset, size_t len, uint8_t **ret_host,
                      struct error *err);

/* After ram_span(): marks these pages as written. For code that puts them in their place itself. */
void ram_mark_present(struct ram_block *b, uint64_t offset, size_t len);

/* At a destination, when all pages have come: whether any page of this block has, zero or not. */
bool ram_block_came(const struct ram_block *b);

/* Gives a block new zeroed memory, advised for transparent huge pages; populates nothing. */
MUST_USE int ram_block_map_anonymous(struct ram_block *b, struct error *err);
/* Gives a block present bits, all clear: a destination's block must have them. */
MUST_USE int ram_block_track(struct ram_block *b, struct error *err);
/* Does both for every block, for a destination. ram_map_done() frees it, after a failure too. */
MUST_USE int ram_map_anonymous(struct ram_map *map, struct error *err);

/* Whether its pages can be read. False for a snapshot's block whose memory is not in the file. */
static inline bool ram_block_is_here(const struct ram_block *b)
{
    return b->host || b->store;
}

/* How many bytes are mapped at host. */
static inline uint64_t ram_block_mapped_bytes(const struct ram_block *b)
{
    return ALIGN_UP(b->used_bytes, b->host_page_bytes);
}

static inline uint64_t ram_block_pages(const struct ram_block *b)
{
    return b->used_bytes >> RAM_PAGE_BITS;
}

static inline bool ram_page_present(const struct ram_block *b, uint64_t page)
{
    return atomic_load_explicit(&b->present[page / 64], memory_order_relaxed) >> page % 64 & 1;
}
