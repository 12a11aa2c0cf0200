/*
 * tools/session.h: what recv and send do alike: a migration with its signals, its line of progress
 * and its result. Which end it is stays behind the ops.
 */
#pragma once

#include "base/error.h"
#include "migration/stats.h"
#include "ram/block.h"
#include "tools/options.h"

struct session_ops {
    enum verb_bit verb;
    int (*run)(void *arg, struct error *err);
    /* Both from threads of their own while run() is under way. */
    void (*cancel)(void *arg);
    void (*stats)(void *arg, struct migration_snapshot *ret);
    /* What --digest is of; after run() has succeeded. */
    const struct ram_map *(*ram)(void *arg);
};

/* The engine that was asked for, or what this host allows, with a line on standard error. */
const struct engine *session_engine(const struct session_ops *ops, const struct options *options,
                                    bool zero_copy);
/*
 * Runs the migration and prints its result; the first of the two that fails is the error, the
 * second as ERR_REPORT.
 * The caller has called interrupt_block(). After a failure signals still wait, so that what must be
 * undone is.
 */
MUST_USE int session_run(const struct session_ops *ops, void *arg, const struct options *options,
                         struct error *err);
