/*
 * vmm/landing.h: where a captured VM lands.
 */
#pragma once

#include <stdbool.h>

#include "migration/machine.h"

/* A mapped-ram snapshot that QEMU ≥ 9.0 loads: pages go straight to their places in the file. */
MUST_USE int landing_file_new(const char *path, bool force, struct landing **ret,
                              struct error *err);
/* A directory: the main stream without pages, and a file per block (vmm/raw_names.h). */
MUST_USE int landing_raw_new(const char *path, bool force, struct landing **ret, struct error *err);
/* Fresh anonymous memory, dropped at the end. */
MUST_USE int landing_null_new(struct landing **ret, struct error *err);
