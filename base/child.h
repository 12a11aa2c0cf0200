/*
 * base/child.h: runs another program for what it prints. Its input is empty, it has no terminal,
 * and it does not outlive the call.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/error.h"

#define CHILD_COMPLAINT 512 /* bytes of standard error that are kept, with the terminator */

struct child_output {
    char *text; /* standard output, with a terminator; the owner's to free() */
    size_t len;
    char complaint[CHILD_COMPLAINT]; /* the beginning of standard error */
};

/*
 * Runs argv[0], which is looked for in PATH, until it has closed its output. What it started ends
 * with it. *ret is set after a success only: a program that ran, whatever it printed.
 * ERR_SYSTEM: it cannot be run, with ENOENT if PATH has no such program; or the deadline has
 * passed, with ETIMEDOUT. ERR_PEER: it prints more than `most` bytes. ERR_CANCELLED.
 */
MUST_USE int child_run(char *const argv[], size_t most, uint64_t deadline,
                       const struct cancel *cancel, struct child_output *ret, struct error *err);
