/*
 * multifd/crew.h: threads that all carry out the same order, and who waits for them: the round's
 * barrier. What an order is about is known to those who give it and those who do it.
 *
 * A failure is the group's: it ends the order for everyone, and no other is begun.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpus.h"
#include "transport/channel_group.h"

struct crew_ops {
    /* By thread `i`: its part of the order. An error becomes the group's. */
    int (*work)(void *arg, size_t i, void *order, struct error *err);
    /* By thread `i`: it has waited for an order, or for the end. */
    void (*waited)(void *arg, size_t i, uint64_t ns);
    /* Under the group's lock, when all have carried an order out. NULL: nothing is to be done. */
    void (*done)(void *arg, void *order);
};

struct crew_config {
    const struct crew_ops *ops;
    const char *name; /* of the threads, before their number; lives as long as they */
    struct channel_group *group;
    void *arg;
    const struct cpu_places *places; /* where the threads run, by turns; NULL: anywhere */
    size_t n;
};

struct crew_member;

struct crew {
    /* Set before the threads start, read-only after. */
    struct crew_config config;
    struct crew_member *members;

    /* Who gives orders: threads that run. */
    size_t n;

    /* Under the group's lock: one order at a time, numbered. */
    uint64_t number; /* of the latest; a thread that has seen less has work */
    void *order;
    bool stop;
    size_t pending; /* threads that have not finished the latest order */
    size_t working; /* threads that are in it now: they hold on to it */
};

/* Starts the threads; when that fails, none is left and the crew is fit for crew_stop() only. */
MUST_USE int crew_start(struct crew *c, const struct crew_config *config, struct error *err);
/*
 * Gives the order, and returns when all have carried it out, or with the group's error when nobody
 * is in it any more. One thread at a time.
 */
MUST_USE int crew_carry_out(struct crew *c, void *order, struct error *err);
/* Ends and joins the threads; a zeroed one, or a stopped one, is fine. */
void crew_stop(struct crew *c);
