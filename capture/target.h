/*
 * capture/target.h: where an incoming migration goes: a capture in a file or a folder, a machine,
 * or nothing.
 */
#pragma once

#include <stdbool.h>

#include "migration/machine.h"
#include "migration/ram_set.h"

struct measurement;

/* A capture: its name, and how it is written. */
struct target_config {
    const char *path;
    bool folder; /* file: `path` is a folder; the snapshot's name there says when it was made, and
                  * of which VM */
    bool force;  /* an existing capture may be replaced */
    bool sync;   /* it is on the disk, with its name, before the source learns that it is there */
    const struct buf *head; /* file: what precedes the stream, copied; NULL: nothing does */
    bool direct;            /* file: long runs of pages bypass the page cache, by O_DIRECT */
    bool checksums; /* file: a table of checksums follows the stream (ram/checksum_file.h) */
};

/* A mapped-ram snapshot that QEMU ≥ 9.0 loads: pages go directly to their places in the file. */
MUST_USE int target_file_new(const struct target_config *config, struct target **ret,
                             struct error *err);
/* The path of such a snapshot. In a folder: "" before the commit; valid until target_free(). */
const char *target_file_path(const struct target *l);
/* Fails where there is no such folder, or no file can be made in it. */
MUST_USE int target_folder_check(const char *path, struct error *err);
/* A directory: the main stream without pages, and a file per block (capture/raw_names.h). */
MUST_USE int target_raw_new(const struct target_config *config, struct target **ret,
                            struct error *err);
/* Fresh anonymous memory, dropped at the end. */
MUST_USE int target_null_new(struct target **ret, struct error *err);
/* Nothing is kept: pages are only measured. `into` must outlive the target. */
MUST_USE int target_measure_new(struct measurement *into, struct target **ret, struct error *err);
/*
 * A machine that waits for its guest, with memory that is all zero: it gets pages and devices, and
 * runs at the end, unless its user has paused it. Not owned: it must outlive the target. `rules`
 * say which of its blocks already have their memory: no page of these may come.
 */
MUST_USE int target_machine_new(struct machine *m, const struct ram_set_rules *rules,
                                struct target **ret, struct error *err);
