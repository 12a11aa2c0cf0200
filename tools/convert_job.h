/*
 * tools/convert_job.h: one conversion: a migration in this process, from a snapshot into a file or
 * a folder, by the engine that fits. A folder's pages, and those that go into a plain stream, are
 * sent into the file as a source would; all others are received from the file as a destination
 * would, directly to their places, so that no guest's memory is needed.
 */
#pragma once

#include "migration/stats.h"
#include "tools/open_machine.h"

enum convert_kind { CONVERT_MAPPED, CONVERT_STREAM, CONVERT_RAW };

/* Set by the caller, and must outlive the job. */
struct convert_config {
    const struct snapshot_spec *from;
    enum convert_kind kind;
    const char *path;       /* the target's */
    const struct buf *head; /* what precedes the stream in the target's file; may be empty */
    unsigned threads;       /* for pages that have places of their own */
    bool force, sync;
};

struct convert_job;

/* Opens the source. That may take long where a plain stream has to be loaded; a signal that ends
 * the program then has nothing to clean up. */
MUST_USE int convert_job_new(const struct convert_config *config, struct convert_job **ret,
                             struct error *err);
/* Makes the target, under a name of its own until it is whole. */
MUST_USE int convert_job_begin(struct convert_job *j, struct error *err);
/* After begin(), once. */
MUST_USE int convert_job_run(struct convert_job *j, struct error *err);
/* Both by any thread, between begin() and free(). */
void convert_job_cancel(void *job);
/* `normal` has the pages with data, however they travel. */
void convert_job_stats(void *job, struct migration_snapshot *ret);
/* Leaves nothing behind where the job has not succeeded. NULL is fine. */
void convert_job_free(struct convert_job *j);
