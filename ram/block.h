/*
 * ram/block.h: what guest memory is: blocks with names, and the one checked door into them.
 *
 * A block's pages lie in our memory (`host`), or only in a file (`store`): a receiver that captures
 * into a file needs no memory for the guest. Whoever brings pages asks ram_span() first.
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
 * Where the pages of a block without `host` are. Any thread; ranges of two calls at once do not
 * overlap. All of it in bytes, page-aligned, checked by ram_span().
 */
struct ram_store_ops {
    int (*write)(struct ram_block *b, uint64_t offset, const void *bytes, size_t len,
                 struct error *err);
    /* Makes a range that was written before read as zeros again. */
    int (*clear)(struct ram_block *b, uint64_t offset, size_t len, struct error *err);
    int (*read)(struct ram_block *b, uint64_t offset, void *bytes, size_t len, struct error *err);
};

/* What becomes of a block in a migration. */
enum ram_travel {
    RAM_TRAVELS,
    RAM_IGNORED,    /* it is listed, but its pages stay where they are, for the other end as well */
    RAM_NOT_LISTED, /* the migration knows nothing of it */
};

struct ram_block {
    /* Set before the threads start, read-only after. */
    char name[RAM_BLOCK_NAME];
    uint64_t used_bytes;      /* multiple of RAM_PAGE_SIZE, not 0 */
    uint8_t *host;            /* used_bytes of memory, or NULL */
    bool mapped;              /* host is ours to unmap */
    bool replaceable;         /* host is plain anonymous memory: a file may take its place */
    uint64_t host_page_bytes; /* 4096, or of huge pages: host is mapped in whole ones */
    const struct ram_store_ops *store; /* where host is NULL */
    int fd;                            /* the file behind host or store, or -1; not owned */
    int direct_fd;                     /* the same file past the page cache, or -1; not owned */
    int memory_fd;                     /* behind host where it is shared, or -1; not owned */
    uint64_t fd_offset;                /* of the block's first byte in that file */
    uint64_t address;                  /* guest-physical, of its first byte */
    bool migratable;                   /* the guest's, and not meant to stay: unless changed */
    bool shared;                       /* others can map the same memory, by a descriptor … */
    bool named;                        /* … and by a file's name */
    bool kept;                         /* it was there before this machine, with what is in it */
    enum ram_travel travel;            /* in the map of a migration */
    /*
     * Any thread, atomically. Page p is bit p % 64 of word p / 64: at a source, set where the page
     * may hold anything but zeros (NULL: all may); at a destination, set where it was written.
     */
    _Atomic uint64_t *present;
    _Atomic bool zeroed; /* any thread: at a destination, a page of it has come that is zero */
};

/* The blocks of a machine in the order in which they are listed. Fixed once a migration runs. */
struct ram_map {
    struct ram_block *blocks;
    size_t n;
    uint64_t total_bytes; /* of all blocks */
};

/* Adds a block; refuses a name, length or number that makes no sense. Not while threads use it. */
MUST_USE int ram_map_add(struct ram_map *map, const char *name, uint64_t used_bytes,
                         struct error *err);
/* NULL if there is none of that name. */
struct ram_block *ram_map_find(const struct ram_map *map, const char *name);
/* ERR_USAGE where memory does not begin at a page: its owner gave it so. */
MUST_USE int ram_map_check_host(const struct ram_map *map, struct error *err);
/* Unmaps what is ours and forgets the blocks. */
void ram_map_done(struct ram_map *map);

/*
 * The one door: every (block, offset, length) that came from outside passes here. Refuses, with
 * ERR_PEER, what is not page-aligned or leaves the block, and all of a block that does not travel.
 * *ret_host is NULL where the pages are in a store: page_place.h has what is done then.
 */
MUST_USE int ram_span(const struct ram_block *b, uint64_t offset, size_t len, uint8_t **ret_host,
                      struct error *err);

/* After ram_span(), for page_place.h: notes that these pages now hold data that was put there
 * directly. */
void ram_mark_present(struct ram_block *b, uint64_t offset, size_t len);

/* At a destination, when all has come: whether any page of it has, zero or not. */
bool ram_block_came(const struct ram_block *b);

/* Gives a block fresh zeroed memory, THP-advised; nothing is populated. */
MUST_USE int ram_block_map_anonymous(struct ram_block *b, struct error *err);
/* Gives it present bits, all clear: a destination's block must have them. */
MUST_USE int ram_block_track(struct ram_block *b, struct error *err);
/* Both for every block: memory for a destination. What was made goes with ram_map_done(). */
MUST_USE int ram_map_anonymous(struct ram_map *map, struct error *err);

/* Its pages can be had: not so of a snapshot's block whose memory was left where it is. */
static inline bool ram_block_is_here(const struct ram_block *b)
{
    return b->host || b->store;
}

/* How much is mapped at host. */
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
