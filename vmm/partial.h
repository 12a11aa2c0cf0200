/*
 * vmm/partial.h: whole or absent. What is being made has a name that nobody takes for the real
 * thing, "PATH.partial-XXXXXX", until partial_commit() gives it its own.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "base/error.h"

/* Names of the files that a directory of ours may hold: others are never removed. */
#define PARTIAL_STREAM "stream"
#define PARTIAL_PREFIX "ram."

struct partial {
    char path[PATH_MAX]; /* what it shall be called */
    char temp[PATH_MAX]; /* what it is called; "" = there is nothing */
    bool directory, force;
};

/*
 * Makes an empty file, open for reading and writing at *ret_fd, or a directory, open at *ret_fd.
 * Refuses a target that exists unless `force`; with it, what is not a regular file, or a directory
 * with other files in it than those above.
 */
MUST_USE int partial_new(struct partial *p, const char *path, bool directory, bool force,
                         int *ret_fd, struct error *err);
/* Before the commit, for each file written: what a network filesystem only says at a close. */
MUST_USE int partial_settle(int fd, struct error *err);
/* Renames it; with `force` what was there goes, in one step. */
MUST_USE int partial_commit(struct partial *p, struct error *err);
/* Without a commit before: removes it and what is in it. */
void partial_done(struct partial *p);
