/*
 * tests/support/backings.h: memory of every kind, for tests that go through all of them.
 */
#pragma once

#include <limits.h>

#include "vmm/memory_backing.h"

struct backing_case {
    const char *label;
    const char *text;    /* as in the option --backend; a file's path is appended, in … */
    const char *folder;  /* … this folder, which must exist; NULL: the test's own */
    uint64_t huge_bytes; /* of its huge pages, or 0 */
    enum memory_sharing sharing;
};

#define BACKING_CASES 10
extern const struct backing_case backing_cases[BACKING_CASES];

struct backing {
    struct ram_map map; /* of one block */
    int fd;
    char path[PATH_MAX]; /* of the file, or empty */
    int huge_lock;       /* of huge_pages_lock(), or -1 */
    uint64_t huge_bytes, huge_before;
};

/*
 * False, after a message with the reason, if this machine does not have such memory. Huge pages are
 * reserved until backing_done(), if the host allows it.
 */
bool backing_make(const struct backing_case *c, uint64_t bytes, struct backing *ret);
void backing_done(struct backing *b);

/* Makes the host reserve `n` huge pages in total; false if it has fewer. */
bool huge_pages_set(uint64_t page_bytes, uint64_t n);
uint64_t huge_pages_get(uint64_t page_bytes);
/* No other test reserves huge pages until the returned descriptor is closed. -1: no
 * such pages here. */
int huge_pages_lock(uint64_t page_bytes);
