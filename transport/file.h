/*
 * transport/file.h: a regular file as one end of a migration: "file:PATH[,offset=N]". The bytes
 * before N belong to another program and stay unchanged.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "transport/address.h"

/*
 * Opens the file of a descriptor again, with O_DIRECT (without the page cache) and with `access` as
 * for open(). Reads and writes must then be aligned to the file's blocks, as pages are. `name` is
 * the file's name in errors.
 */
MUST_USE int file_direct_open(const char *name, int fd, int access, int *ret_fd, struct error *err);

/* A file that we write. */
struct file_target {
    const struct address *to;
    int fd;       /* for reading and writing; -1: none */
    bool created; /* the file did not exist before */
};

/* Opens or creates the file, and cuts it at the offset. `to` must outlive *ret. */
MUST_USE int file_target_open(const struct address *to, struct file_target *ret, struct error *err);
/* Makes the file `bytes` long, with zeros where nothing is written. Then several writers wait less
 * for each other. */
MUST_USE int file_target_extend(const struct file_target *f, uint64_t bytes, struct error *err);
/* After a failure: removes what was written, and the file itself if we have created it. */
void file_target_abandon(struct file_target *f);
/* Lets others read or write the file: it is complete, or was abandoned. */
void file_target_unlock(const struct file_target *f);
/* Closes it. A zeroed struct is not allowed, because its fd is 0; FILE_TARGET_NONE is. */
void file_target_done(struct file_target *f);
#define FILE_TARGET_NONE ((struct file_target){.fd = -1})

/*
 * Opens a file or block device for reading; *ret_bytes is its whole length. An offset above that is
 * ERR_USAGE. No ramjet process overwrites the file while the descriptor is open: it is locked.
 */
MUST_USE int file_source_open(const struct address *from, int *ret_fd, uint64_t *ret_bytes,
                              struct error *err);
