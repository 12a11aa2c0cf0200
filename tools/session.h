/*
 * tools/session.h: what recv and send have in common: a migration with its signals, its line of
 * progress and its result. The ops hold what differs between the two ends.
 */
#pragma once

#include "base/error.h"
#include "migration/stats.h"
#include "ram/block.h"
#include "tools/options.h"

struct session_ops {
    enum verb_bit verb;
    int (*run)(void *arg, struct error *err);
    /* Both are called from other threads while run() is under way. */
    void (*cancel)(void *arg);
    void (*stats)(void *arg, struct migration_snapshot *ret);
    /* The memory for --digest; called after run() has succeeded. */
    const struct ram_map *(*ram)(void *arg);
    /* The path of what was written, if its name was chosen here; called after run() has succeeded.
     * NULL, or an answer of NULL: no name was chosen here. */
    const char *(*file)(void *arg);
    /* Prints the result in its own way; NULL: report() does. As report(), after success and
     * failure.
     */
    int (*report)(void *arg, const struct migration_snapshot *snap, uint64_t cpu_ms,
                  const struct error *failure, struct error *err);
    /* Called after run(). False: nothing is printed. NULL: it is always printed. */
    bool (*is_worth_a_report)(void *arg);
};

/*
 * Tells what a migration of that status waits for, if it takes long (tools/phase.h).
 * MIGRATION_NONE: no source has come yet. `where` is the address of DEST or LISTEN. Any thread may
 * call it.
 */
void session_phase(enum verb_bit verb, const struct options *options, const char *where,
                   enum migration_status status);
/* The engine that was asked for, or else one that this host allows, perhaps with a line on standard
 * error. */
const struct engine *session_engine(const struct options *options, bool zero_copy);
/*
 * Runs the migration and prints its result. If the migration fails, that is the error; if only the
 * printing fails, the error is ERR_REPORT.
 * The caller has called interrupt_block(). After a failure signals stay pending, so that the caller
 * can clean up.
 */
MUST_USE int session_run(const struct session_ops *ops, void *arg, const struct options *options,
                         struct error *err);
