/*
 * transport/file.h: a regular file as one end of a migration: "file:PATH[,offset=N]". What lies in
 * front of byte N is somebody else's and stays.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "transport/address.h"

/*
 * The file behind a descriptor once more, past the page cache (O_DIRECT), for `access` as open()
 * has it: in pieces that are aligned to the file's blocks, as pages are. `name` is what errors call
 * it.
 */
MUST_USE int file_direct_open(const char *name, int fd, int access, int *ret_fd, struct error *err);

/* A file that is being written. */
struct file_target {
    const struct address *to;
    int fd;       /* for reading and writing; -1: there is none */
    bool created; /* it was not there before */
};

/* Opens it, or makes it, and empties it from the offset on. `to` must outlive it. */
MUST_USE int file_target_open(const struct address *to, struct file_target *ret, struct error *err);
/* Makes it `bytes` long, all zeros where nothing is: writers of one file then wait less for each
 * other. */
MUST_USE int file_target_extend(const struct file_target *f, uint64_t bytes, struct error *err);
/* What was written came to nothing: leaves none of it behind, and no file that was not there. */
void file_target_abandon(struct file_target *f);
/* Lets others read or write it: what is written is whole, or was abandoned. */
void file_target_unlock(const struct file_target *f);
/* Closes it. Zeroed is not fine: FILE_TARGET_NONE is. */
void file_target_done(struct file_target *f);
#define FILE_TARGET_NONE ((struct file_target){.fd = -1})

/*
 * Opens one for reading; *ret_bytes is the whole file's length. Its offset is not behind that. None
 * of us empties it as long as the descriptor is open.
 */
MUST_USE int file_source_open(const struct address *from, int *ret_fd, uint64_t *ret_bytes,
                              struct error *err);
