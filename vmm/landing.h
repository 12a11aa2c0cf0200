/*
 * vmm/landing.h: where a captured VM lands.
 */
#pragma once

#include <stdbool.h>

#include "migration/machine.h"
#include "migration/ram_set.h"

/* A capture: what it shall be called, and how it is written. */
struct landing_config {
    const char *path;
    bool force;  /* what is there may be replaced */
    bool sync;   /* it is on the disk, name and all, when the source learns that it is there */
    bool direct; /* file: long runs of pages go past the page cache, by O_DIRECT */
};

/* A mapped-ram snapshot that QEMU ≥ 9.0 loads: pages go straight to their places in the file. */
MUST_USE int landing_file_new(const struct landing_config *config, struct landing **ret,
                              struct error *err);
/* A directory: the main stream without pages, and a file per block (vmm/raw_names.h). */
MUST_USE int landing_raw_new(const struct landing_config *config, struct landing **ret,
                             struct error *err);
/* Fresh anonymous memory, dropped at the end. */
MUST_USE int landing_null_new(struct landing **ret, struct error *err);
/*
 * A machine that waits for its guest, whose memory is all zero: it gets pages and devices, and at
 * the end goes on, unless its user holds it. Not owned: it must outlive the landing. By `rules`
 * some of its blocks have what they need already: no page of these may come.
 */
MUST_USE int landing_machine_new(struct machine *m, const struct ram_set_rules *rules,
                                 struct landing **ret, struct error *err);
