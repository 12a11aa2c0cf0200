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
    char temp[PATH_MAX]; /* what it is called; "" = there is nothing */
    bool directory, force;
};

/*
 * Makes an empty file, open for reading and writing at *ret_fd, or a directory, open at *ret_fd.
 * Refuses a target that exists unless `force`.
 */
MUST_USE int partial_new(struct partial *p, const char *path, bool directory, bool force,
                         int *ret_fd, struct error *err);
/* Renames it; with `force` what was there goes, in one step. */
MUST_USE int partial_commit(struct partial *p, struct error *err);
/* Without a commit before: removes it and what is in it. */
void partial_done(struct partial *p);
