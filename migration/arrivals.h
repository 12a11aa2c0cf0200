/*
 * migration/arrivals.h: the connections of one destination: taken as they come, told apart by their
 * first bytes, and served: main is handed out, multifd channels join the pool. What main says is
 * not known here.
 *
 * Each connection has a thread of its own, since each may keep it waiting.
 */
#pragma once

#include <stdbool.h>

#include "base/uuid.h"
#include "migration/connect.h"
#include "multifd/recv_pool.h"

struct arrivals_config {
    const struct connect_config *connect; /* the address is where to listen */
    struct channel_group *group;
    struct recv_pool *pool;
    int n_channels;          /* 0: a multifd connection is refused; < 0: any number */
    const struct uuid *uuid; /* that hellos must have; NULL: any */
    bool main_any_time;      /* main is waited for until it comes, or a channel has */
    /* A connection was not let in; what is awaited may still come. The first few times, by any
     * thread, with no lock held. NULL: not told. */
    void (*refused)(void *arg, const struct error *why);
    void *arg;
};

struct arrivals;

/* Listens when it returns; a cancel of the group ends the wait for a name's address. What the
 * configuration points to must outlive it. */
MUST_USE int arrivals_new(const struct arrivals_config *config, struct arrivals **ret,
                          struct error *err);
/* The address with the real port, as long as the object lives. */
const char *arrivals_address(const struct arrivals *a);
/* From now on connections are taken. Errors of any of them go to the group. */
MUST_USE int arrivals_start(struct arrivals *a, struct error *err);
/*
 * Waits for main, as long as the connect timeout allows: from now on, or, where it may come any
 * time, from the first multifd channel on. Its magic has been read; the channel becomes the
 * caller's.
 */
MUST_USE int arrivals_await_main(struct arrivals *a, struct channel **ret, struct error *err);
/* Main has shown that it is a migration: until then it has the connect timeout for all it says. */
void arrivals_proven(struct arrivals *a);
/*
 * A source connects all its channels before it writes main's first byte: takes those that wait now,
 * and waits until all have said what they are and no channel id is missing. Fails at once where the
 * source has closed main.
 */
MUST_USE int arrivals_settle(struct arrivals *a, struct error *err);
/*
 * The main stream is complete: fails if a connection that was sent away may have been a channel,
 * and the packets' numbers say that one is missing; or there is none, and by main some are
 * `expected`.
 */
MUST_USE int arrivals_check_complete(struct arrivals *a, bool expected, struct error *err);
/* Takes no more and no longer listens, closes the group, and returns when every thread has ended.
 */
void arrivals_end(struct arrivals *a);
/* Ends them first. NULL is fine. */
void arrivals_free(struct arrivals *a);
