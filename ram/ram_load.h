/*
 * ram/ram_load.h: the RAM section as a destination reads it: block list, records, barriers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ram/block.h"
#include "ram/ram_list.h"
#include "stream/section.h"
#include "stream/stream_in.h"

struct ram_load;

/* What the destination around it provides. Called by the thread that reads the main stream. */
struct ram_load_ops {
    /* The list is complete: give every block of load->map its memory or store. */
    int (*listed)(struct ram_load *load, struct error *err);
    /*
     * A place where all pages before it may have to be in place: behind a FLUSH word (`word`), or
     * at the end of a section's body. load->section and load->flush_words tell which.
     */
    int (*barrier)(struct ram_load *load, bool word, struct error *err);
};

struct ram_load {
    const struct ram_load_ops *ops;
    struct stream_in *in;
    struct ram_map *map;         /* filled from the list */
    bool addresses;              /* x-ignore-shared: the list has each block's */
    bool from_file;              /* mapped-ram: the list says where pages are, records carry none */
    uint64_t file_bytes;         /* mapped-ram: the file's size, which offsets must not leave */
    struct mapped_ram *mapped;   /* mapped-ram: one per block, ours */
    uint32_t section_id;         /* that the source chose */
    bool started;                /* a start section came */
    enum stream_element section; /* the present section: START, PART or END */
    unsigned flush_words;        /* in the present section, so far */
    struct ram_block *last;      /* the block that CONTINUE means; survives sections */
    uint64_t normal, zero;       /* pages that came in records */
};

void ram_load_done(struct ram_load *load);
/* Reads the body of a RAM section whose header was read, and its footer. */
MUST_USE int ram_load_section(struct ram_load *load, const struct section *s, struct error *err);
