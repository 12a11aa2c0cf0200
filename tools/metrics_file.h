/*
 * tools/metrics_file.h: writes a text into a file every few seconds, on a thread of its own, for
 * node_exporter's textfile collector: a reader sees the old text or the new one, whole.
 */
#pragma once

#include "base/buf.h"

struct metrics_file;

/* Writes it for the first time before it returns; fails where that fails. */
MUST_USE int metrics_file_start(const char *path, int (*write)(struct buf *to, struct error *err),
                                struct metrics_file **ret, struct error *err);
/* Writes it for the last time. 0, or -1 if that or an earlier writing has failed, with the first
 * error. NULL is fine. */
MUST_USE int metrics_file_stop(struct metrics_file *f, struct error *err);
