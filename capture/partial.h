/*
 * capture/partial.h: a file or directory that is either whole or absent. While it is made its name
 * is "PATH.partial-XXXXXX"; partial_commit() gives it its final name.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "base/error.h"

struct partial {
    char path[PATH_MAX]; /* its final name */
    /* Its temporary name; after a commit, the name of what the commit has replaced; "": there is
     * nothing. Has room for ".old" after a name of any length. */
    char temp[PATH_MAX + 4];
    bool directory, force;
    bool sync; /* off at first; the owner sets it for a result that survives a crash of the host */
};

/*
 * Makes an empty file, open for reading and writing at *ret_fd, or a directory, open at *ret_fd.
 * Refuses a target that exists, unless `force`. With `force` it refuses a target that is not a
 * regular file, or a directory with files that are not of a raw capture (capture/raw_names.h).
 */
MUST_USE int partial_new(struct partial *p, const char *path, bool directory, bool force,
                         int *ret_fd, struct error *err);
/* Before the commit: another final name, where `force` was not said. */
MUST_USE int partial_rename(struct partial *p, const char *path, struct error *err);
/* Before the commit, for each file written and each directory made: reports errors that a network
 * filesystem reports only at a close; with `sync`, brings it to the disk. */
MUST_USE int partial_settle(const struct partial *p, int fd, struct error *err);
/*
 * Gives it its final name. With `force` it replaces what was there, whose name is then temp: in one
 * step and without a wait for the disk, where the filesystem can. With `sync` the name is on the
 * disk, too; otherwise the rename is undone.
 */
MUST_USE int partial_commit(struct partial *p, struct error *err);
/*
 * Removes what the commit has replaced; without a commit, what was made. A directory with files
 * that are not of a capture stays.
 */
void partial_done(struct partial *p);
