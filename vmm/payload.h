/*
 * vmm/payload.h: a user's own guest, from a file: a flat image, or a static ELF64 program for
 * x86-64. The file may hold anything; this checks where its contents go in guest memory.
 * Formats: the file as it is; System V ABI, ELF-64 object file format.
 */
#pragma once

#include "ram/block.h"
#include "vmm/guest/params.h"

#define PAYLOAD_SEGMENTS_MAX 16
#define PAYLOAD_FILE_MAX     (UINT64_C(256) << 20) /* bytes of a file */

/* A piece of the file, and its place. Zeros follow it, up to `bytes`. */
struct payload_segment {
    uint64_t address, bytes;       /* in the guest */
    uint64_t offset, offset_bytes; /* in the file; offset_bytes: at most `bytes` */
};

struct payload {
    uint8_t *file; /* NULL after payload_parse() */
    size_t len;
    uint64_t entry;
    struct payload_segment segments[PAYLOAD_SEGMENTS_MAX]; /* none overlaps another */
    size_t n_segments;
};

/*
 * Finds the segments of a payload for a guest with `memory_bytes` of memory; fails with ERR_USAGE.
 * A flat image goes to GUEST_IMAGE and is entered there. An ELF program's segments go to their
 * virtual addresses, from GUEST_IMAGE on; its entry must be in a segment's bytes of the file.
 */
MUST_USE int payload_parse(const uint8_t *file, size_t len, uint64_t memory_bytes,
                           struct payload *ret, struct error *err);

/* Reads and parses a file. */
MUST_USE int payload_open(const char *path, uint64_t memory_bytes, struct payload *ret,
                          struct error *err);
/* Zeroed is fine. */
void payload_done(struct payload *p);

/* Copies it into fresh memory of the length for which it was parsed. */
void payload_load(const struct payload *p, struct ram_block *b);
