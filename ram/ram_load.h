/*
 * ram/ram_load.h: the RAM section as a destination reads it: block list, records, barriers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ram/block.h"
#include "ram/ram_list.h"
#include "ram/ram_missing.h"
#include "stream/section_handler.h"

struct ram_load;

/* What the destination provides. Called by the thread that reads the main stream. */
struct ram_load_ops {
    /* The list is complete: gives every block of load->map its memory or store. */
    int (*listed)(struct ram_load *load, struct error *err);
    /*
     * A point of the stream at which all earlier pages may have to be in place: after a FLUSH word
     * (`word`), or at the end of a section's body. load->section and load->flush_words say more.
     */
    int (*barrier)(struct ram_load *load, bool word, struct error *err);
};

/* RAM's loader. */
struct ram_load {
    struct section_loader base;
    const struct ram_load_ops *ops;
    struct stream_in *in;        /* set while a section is read */
    struct ram_map *map;         /* filled from the list */
    bool addresses;              /* x-ignore-shared: the list has each block's address */
    bool from_file;              /* mapped-ram: the list says where pages are; no page records */
    uint64_t file_bytes;         /* mapped-ram: the file's size, which offsets must not leave */
    struct mapped_ram *mapped;   /* mapped-ram: one per block; ram_load_done() frees it */
    enum stream_element section; /* the present section: START, PART or END */
    unsigned flush_words;        /* how many the present section has had so far */
    struct ram_block *last;      /* the block that CONTINUE means; survives sections */
    struct ram_missing missing;  /* what the source owes after a switch to postcopy */
    bool steady;                 /* it sends that without a pause: silence has a time limit */
    uint64_t normal, zero;       /* pages that came in records */
};

/* The map is filled from the list, and stays the caller's. */
void ram_load_init(struct ram_load *load, const struct ram_load_ops *ops, struct ram_map *map);
void ram_load_done(struct ram_load *load);
