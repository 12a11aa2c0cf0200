/*
 * ram/checksum_file.h: the table of checksums in a mapped-ram file: writes it after the stream,
 * finds it again, and checks the parts of the stream that are not pages.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "ram/checksum_table.h"
#include "ram/ram_list.h"

/* --- writing --------------------------------------------------------------------------------- */

/* A stream that is complete in its file: everything but the checksums. */
struct checksum_stream_file {
    int fd;              /* for reading and writing, through the page cache */
    uint64_t start, end; /* of the stream in the file */
    const struct ram_map *map;
    const struct mapped_ram *mapped; /* one per block */
};

/* The pages of one block: which of them the file has, and what they sum up to. */
struct checksum_pages {
    const _Atomic uint64_t *present, *sums;
};

/* Writes the table after the stream. `pages`: one per block; of blocks that do not travel it is not
 * used. Nobody writes the file or the sums meanwhile. */
MUST_USE int checksum_file_write(const struct checksum_stream_file *f,
                                 const struct checksum_pages *pages, struct error *err);

/* --- reading --------------------------------------------------------------------------------- */

/* What a file has of checksums. */
struct checksums {
    bool found; /* false: none; nothing else is set then */
    struct checksum_table table;
    uint64_t start; /* the stream's first byte in the file */
    uint64_t after; /* bytes of the file after the table */
};

/*
 * Looks at the end of the file. ERR_PEER: there is a table, but it is damaged, or the file does not
 * have the stream that it describes. checksums_done() frees *ret.
 */
MUST_USE int checksums_at_end(int fd, uint64_t file_bytes, struct checksums *ret,
                              struct error *err);
/*
 * The same for the stream that begins at `start` and whose last page ends at `pages_end`, where
 * other bytes follow the table, as on a block device. Tables of other streams do not count.
 */
MUST_USE int checksums_after(int fd, uint64_t file_bytes, uint64_t start, uint64_t pages_end,
                             struct checksums *ret, struct error *err);
void checksums_done(struct checksums *c);

/* Sums up part `i` of the stream: before block i, or after the last. *ret_same: it is as the table
 * says. */
MUST_USE int checksums_part(int fd, const struct checksums *c, size_t i, bool *ret_same,
                            uint8_t ret_found[static CHECKSUM_LEN], struct error *err);
/* How a person calls part `i`. */
#define CHECKSUM_PART_TEXT (RAM_BLOCK_NAME + 64)
void checksums_part_text(const struct checksums *c, size_t i, char ret[static CHECKSUM_PART_TEXT]);

/*
 * For a reader that is about to read the stream at `start`: looks at the file's end, and checks all
 * of the stream that is not pages. ERR_PEER: a part is damaged; or the stream is another one,
 * written over that of the table.
 */
MUST_USE int checksums_open(int fd, uint64_t file_bytes, uint64_t start, struct checksums *ret,
                            struct error *err);
/*
 * After that, when it has read the list: gives each block of the map the checksums of its pieces
 * (block->checksums); they live as long as *c. If nothing was found at the end, looks after the
 * stream, too. Errors are the same.
 */
MUST_USE int checksums_apply(int fd, uint64_t file_bytes, uint64_t start, const struct ram_map *map,
                             const struct mapped_ram *mapped, struct checksums *c,
                             struct error *err);
