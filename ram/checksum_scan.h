/*
 * ram/checksum_scan.h: compares all of a mapped-ram file with its checksums, by several threads.
 * Reads what the file's bitmaps say it has, and nothing else: no hole is read, none is filled.
 */
#pragma once

#include <stdatomic.h>

#include "base/cancel.h"
#include "ram/checksum_file.h"

/* What is not as its checksum says. */
struct checksum_damage {
    const struct checksum_block *block; /* NULL: a part of the stream that is not pages … */
    size_t part;                        /* … with this number */
    uint64_t first, last;               /* bytes: of the block; of the file, for a part */
    int sys;                            /* errno, where it could not be read; else 0 */
    uint8_t expected[CHECKSUM_LEN], found[CHECKSUM_LEN]; /* if it could be read */
};

struct checksum_scan_config {
    int fd;
    int direct_fd; /* opened O_DIRECT, for pages: what is on the disk, not in the cache; or -1 */
    const struct checksums *checksums;
    unsigned n_threads;
    const struct cancel *cancel;
    /* By any of the threads, one call at a time. */
    void (*damaged)(void *arg, const struct checksum_damage *d);
    void *arg;
};

/* Any thread may read these meanwhile. */
struct checksum_scan_counts {
    _Atomic uint64_t pieces;  /* that were looked at; checksums_n_pieces() in the end */
    _Atomic uint64_t empty;   /* of these: the file has no page of them */
    _Atomic uint64_t pages;   /* that were read */
    _Atomic uint64_t damaged; /* pieces, and parts that are not pages */
    /* The beginning and the end of the stream are others: it was written again after its checksums
     * were made. Then no piece is looked at. */
    _Atomic bool stale;
};

/* Of all blocks. */
uint64_t checksums_n_pieces(const struct checksums *c);

/* Fails (-1) where it cannot go on; a cancel is ERR_CANCELLED. Damage is no failure: it is counted.
 * `counts` is zeroed. */
MUST_USE int checksum_scan(const struct checksum_scan_config *config,
                           struct checksum_scan_counts *counts, struct error *err);
