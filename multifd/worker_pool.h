/*
 * multifd/worker_pool.h: worker threads that all carry out the same order while its giver waits for
 * them: the round's barrier. Only the giver and the workers know what an order means.
 *
 * A failure is the group's: it ends the order for all threads, and no other order is begun.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpus.h"
#include "transport/channel_group.h"

struct worker_pool_ops {
    /* Called by thread `i`: does its part of the order. An error becomes the group's. */
    int (*work)(void *arg, size_t i, void *order, struct error *err);
    /* Called by thread `i` after it has waited for an order, or for the end. */
    void (*waited)(void *arg, size_t i, uint64_t ns);
    /* Called under the group's lock, when all threads have carried out an order. May be NULL. */
    void (*done)(void *arg, void *order);
};

struct worker_pool_config {
    const struct worker_pool_ops *ops;
    const char *name; /* of the threads, before their number; must outlive them */
    struct channel_group *group;
    void *arg;
    const struct cpu_places *places; /* where the threads run, in turn; NULL: anywhere */
    size_t n;
};

struct worker;

struct worker_pool {
    /* Set before the threads start, read-only after. */
    struct worker_pool_config config;
    struct worker *members;

    /* Only for the thread that gives orders: how many threads run. */
    size_t n;

    /* Under the group's lock: one order at a time, numbered. */
    uint64_t number; /* of the latest order; a thread that has seen a lower number has work */
    void *order;
    bool stop;
    size_t pending; /* threads that have not finished the latest order */
    size_t working; /* threads that are carrying it out now: they use `order` */
};

/* Starts the threads. After a failure no thread is left, and only worker_pool_stop() may be called.
 */
MUST_USE int worker_pool_start(struct worker_pool *c, const struct worker_pool_config *config,
                               struct error *err);
/*
 * Gives the order, and returns when all threads have carried it out; or with the group's error,
 * when no thread uses `order` any more. One thread at a time.
 */
MUST_USE int worker_pool_carry_out(struct worker_pool *c, void *order, struct error *err);
/* Ends and joins the threads. A zeroed or stopped pool is fine. */
void worker_pool_stop(struct worker_pool *c);
