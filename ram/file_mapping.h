/*
 * ram/file_mapping.h: guest memory that is a mapping of a file at first, so that the guest starts
 * before its pages are read. While the guest runs, it is replaced piece by piece by the guest's own
 * memory.
 *
 * A mapping is private: what the guest writes never gets into the file. But a change of the file
 * shows in pages that the guest has not written, and access to a page of a truncated file raises
 * SIGBUS. So the file must not change until the last piece is the guest's own. One thread at a
 * time.
 */
#pragma once

#include "ram/block.h"

struct file_run {
    uint8_t *host;  /* its first byte that is still mapped from the file */
    uint64_t bytes; /* from there to its end */
    uint64_t ready; /* how many of these, from the first on, are prepared */
    uint8_t *spare; /* the same amount of new memory, or NULL if not needed yet */
};

struct file_mapping {
    struct file_run *runs;
    size_t n, at;
};

/* Pages of a block that follow each other in the file, from `offset` on. */
struct file_pages {
    int fd;
    uint64_t offset;
    uint64_t first_page, n_pages;
};

/*
 * Maps the pages in place of our own anonymous memory (block->replaceable), which must not have
 * been written yet. False: it is not possible or not worth it; nothing has changed.
 */
bool file_mapping_add(struct file_mapping *m, const struct ram_block *b,
                      const struct file_pages *pages);

/* Whether any piece is still mapped from the file. */
bool file_mapping_is_left(const struct file_mapping *m);
/*
 * Prepares the next pieces, so that taking them over does not wait for the disk. The guest may run
 * meanwhile. ERR_SYSTEM: they cannot be read.
 */
MUST_USE int file_mapping_prepare(struct file_mapping *m, struct error *err);
/* Whether a piece is ready. */
bool file_mapping_is_ready(const struct file_mapping *m);
/* Makes one piece the guest's own memory, in one step. The guest is paused; other threads may read
 * the memory. If no piece is ready, this waits for the disk. */
MUST_USE int file_mapping_take_over(struct file_mapping *m, struct error *err);
/* Frees `m`; pieces that are left stay mapped from the file. A zeroed `m` is fine. */
void file_mapping_done(struct file_mapping *m);
