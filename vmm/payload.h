/*
 * vmm/payload.h: a user's own guest, from a file: a flat image, or a static ELF64 program for
 * x86-64. What is in the file may be anything; where it is put in guest memory is checked here.
 * Formats: the file as it is; System V ABI, ELF-64 object file format.
 */
#pragma once

#include "ram/block.h"
#include "vmm/guest/params.h"

#define PAYLOAD_SEGMENTS_MAX 16
#define PAYLOAD_FILE_MAX     (UINT64_C(256) << 20) /* bytes: what is read of a file */

/* A piece of the file, and its place. Behind it there are zeros up to `bytes`. */
struct payload_segment {
    uint64_t address, bytes;       /* in the guest */
    uint64_t offset, offset_bytes; /* in the file; offset_bytes: at most `bytes` */
};

struct payload {
    uint8_t *file; /* NULL where only parsed */
    size_t len;
    uint64_t entry;
    struct payload_segment segments[PAYLOAD_SEGMENTS_MAX]; /* none overlaps another */
    size_t n_segments;
};

/*
 * Where what these bytes hold goes in a guest with so much memory; fails with ERR_USAGE. A flat
 * image lies at GUEST_IMAGE and is entered there. An ELF program's segments lie at their virtual
 * addresses, from GUEST_IMAGE on, and one that has bytes of the file holds its entry.
 */
MUST_USE int payload_parse(const uint8_t *file, size_t len, uint64_t memory_bytes,
                           struct payload *ret, struct error *err);

/* Reads and parses a file. */
MUST_USE int payload_open(const char *path, uint64_t memory_bytes, struct payload *ret,
                          struct error *err);
/* Zeroed is fine. */
void payload_done(struct payload *p);

/* Puts it into fresh memory of the length it was parsed for. */
void payload_load(const struct payload *p, struct ram_block *b);
