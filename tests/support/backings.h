/*
 * tests/support/backings.h: memory of every kind, for tests that go through all of them.
 */
#pragma once

#include <limits.h>

#include "vmm/memory_backing.h"

struct backing_case {
    const char *label;
    const char *text;    /* as the option says it; a file's path comes behind it, in … */
    const char *folder;  /* NULL: the test's own; it must be there */
    uint64_t huge_bytes; /* of its huge pages, or 0 */
    enum memory_sharing sharing;
};

#define BACKING_CASES 10
extern const struct backing_case backing_cases[BACKING_CASES];

struct backing {
    struct ram_map map; /* of one block */
    int fd;
    char path[PATH_MAX]; /* of the file, or empty */
    int huge_lock;       /* others who set huge pages aside wait */
    uint64_t huge_bytes, huge_before;
};

/*
 * False, having said why, where this machine has not got such memory. Huge pages are set aside as
 * long as it takes, where that is allowed.
 */
bool backing_make(const struct backing_case *c, uint64_t bytes, struct backing *ret);
void backing_done(struct backing *b);

/* Sets so many huge pages aside in all; false where there are not so many. */
bool huge_pages_set(uint64_t page_bytes, uint64_t n);
uint64_t huge_pages_get(uint64_t page_bytes);
/* Nobody else sets huge pages aside until this is closed. */
int huge_pages_lock(uint64_t page_bytes);
