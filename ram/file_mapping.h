/*
 * ram/file_mapping.h: guest memory that is mapped off a file at first, so that the guest starts
 * before its pages are read, and becomes memory of its own piece by piece while it runs.
 *
 * A mapping is private: what the guest writes never gets into the file. But what is done to the
 * file shows in pages that were not written, and of a file that is cut all are gone, by SIGBUS. So
 * it must stay as it is until the last piece is the guest's own. One thread at a time.
 */
#pragma once

#include "ram/block.h"

struct file_run {
    uint8_t *host; /* of its first byte that is the file's still */
    uint64_t bytes;
    uint64_t ready; /* of these, from the start on */
    uint8_t *spare; /* as much fresh memory, or NULL where none was needed yet */
};

struct file_mapping {
    struct file_run *runs;
    size_t n, at;
};

/* Pages of a block that are neighbours in the file, from `offset` on. */
struct file_pages {
    int fd;
    uint64_t offset;
    uint64_t first_page, n_pages;
};

/*
 * Maps them in place of what is there, which nobody has written yet: anonymous memory of our own
 * (block->replaceable). False: that cannot be, or is not worth it; nothing has changed.
 */
bool file_mapping_add(struct file_mapping *m, const struct ram_block *b,
                      const struct file_pages *pages);

/* Whether any of it is the file's still. */
bool file_mapping_is_left(const struct file_mapping *m);
/*
 * Has the next pieces ready, so that taking them over waits for no disk; nobody has to stand still.
 * ERR_SYSTEM: they cannot be read.
 */
MUST_USE int file_mapping_prepare(struct file_mapping *m, struct error *err);
/* Whether a piece is ready. */
bool file_mapping_is_ready(const struct file_mapping *m);
/* The guest stands still, others may read: one becomes its own, all at once. Where none is ready,
 * this waits for the disk. */
MUST_USE int file_mapping_take_over(struct file_mapping *m, struct error *err);
/* Forgets what is left: it stays mapped. Zeroed is fine. */
void file_mapping_done(struct file_mapping *m);
