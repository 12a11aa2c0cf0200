/*
 * vmm/landing.h: where a captured VM lands.
 */
#pragma once

#include <stdbool.h>

#include "migration/machine.h"

/* A mapped-ram snapshot that QEMU ≥ 9.0 loads: pages go straight to their places in the file. */
MUST_USE int landing_file_new(const char *path, bool force, struct landing **ret,
                              struct error *err);
/* A directory: "ram.NAME" per block, with % and / of the name as %25 and %2F, and "stream", the
 * main stream without pages. */
MUST_USE int landing_raw_new(const char *path, bool force, struct landing **ret, struct error *err);
/* Fresh anonymous memory, dropped at the end. */
MUST_USE int landing_null_new(struct landing **ret, struct error *err);

/* The file name of a block in a raw directory; *ret has RAW_NAME_MAX bytes. */
#define RAW_NAME_MAX (4 + 3 * RAM_BLOCK_NAME)
void raw_block_name(const char *block, char ret[static RAW_NAME_MAX]);
