/*
 * vmm/partial.h: whole or absent. What is being made has a name that nobody takes for the real
 * thing, "PATH.partial-XXXXXX", until partial_commit() gives it its own.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "base/error.h"

struct partial {
    char path[PATH_MAX]; /* what it shall be called */
    /* What it is called; behind a commit, what that has replaced; "" = there is nothing. Room for
     * ".old" behind a name of any length. */
    char temp[PATH_MAX + 4];
    bool directory, force;
    bool sync; /* off at first: whoever made it may want it to outlive a crash of the host */
};

/*
 * Makes an empty file, open for reading and writing at *ret_fd, or a directory, open at *ret_fd.
 * Refuses a target that exists unless `force`; with it, what is not a regular file, or a directory
 * with other files in it than a raw capture has (vmm/raw_names.h).
 */
MUST_USE int partial_new(struct partial *p, const char *path, bool directory, bool force,
                         int *ret_fd, struct error *err);
/* Before the commit, for each file written, and a directory made: what a network filesystem only
 * says at a close; with `sync` it is on the disk then. */
MUST_USE int partial_settle(const struct partial *p, int fd, struct error *err);
/*
 * Renames it. With `force` it takes the place of what was there, which is then temp: where the
 * filesystem can, in one step and without waiting for the disk; with `sync` the name is on the
 * disk, too, or taken back.
 */
MUST_USE int partial_commit(struct partial *p, struct error *err);
/*
 * Removes what has been replaced; without a commit before, what was made. A directory into which
 * somebody has put other files stays.
 */
void partial_done(struct partial *p);
