/*
 * migration/acceptor_state.h: the state of an acceptor. Its files share it: arrivals.c has the list
 * of connections that have not said what they are, greet.c hears what they say, acceptor.c accepts
 * them and waits. No other code includes it: acceptor.h is for that.
 */
#pragma once

#include <sys/eventfd.h>

#include "base/thread.h"
#include "migration/acceptor_config.h"

/* A connection that has not said yet what it is, and the argument of its thread. */
struct arrival {
    struct acceptor *a;
    struct channel *channel; /* as it was accepted; valid while the connection is in the list */
    char peer[TRANSPORT_PEER_LEN];
    struct thread thread; /* needed to start it */
    uint64_t number;      /* in the order in which they came, from 1 */

    /* Under the group's lock. */
    uint64_t deadline; /* by which it must have said what it is */
    bool known;        /* it has said in time what it is */
    bool dismissed;    /* it is not waited for any more */
    struct arrival *older, *newer;
};

struct acceptor {
    /* Set before the threads start, read-only after. */
    struct acceptor_config config;
    struct channel_group *group;
    struct listener listener;
    int wake; /* an eventfd: makes the acceptor look again what it waits for */

    pthread_mutex_t accept_lock; /* guards the listener: acceptor_settle() accepts, too */
    struct thread acceptor;

    /* Under the group's lock. */
    struct channel *main;
    uint64_t main_number;   /* its number; the channels of its source have higher ones */
    uint64_t main_deadline; /* by which it must have proven that it is a migration */
    bool main_taken;        /* it belongs to the caller now */
    bool main_over;         /* the source will write nothing more on it */
    bool left;              /* main_over, and all connections that may be its channels are known */
    bool begun;             /* a multifd channel has come, so there is a source */
    bool enough;            /* the next connections are for another migration */
    bool settling;          /* acceptor_settle() runs: main is not read meanwhile */
    size_t living;          /* connections whose threads run */
    bool crowded;           /* the next connection is accepted only when one of them has ended */
    uint64_t accepted;      /* how many connections have come */
    struct arrival *oldest, *newest; /* the list of connections that have not said what they are */
    struct error refused;            /* why the first connection was refused */
    uint64_t n_refused;
    struct error scarce;   /* why some were dropped to make room; ERR_NONE: none was */
    uint64_t last_refused; /* the highest number of a connection that was sent away */
};

/* Makes the acceptor's thread look again what it waits for, and until when. */
static inline void acceptor_wake(const struct acceptor *a)
{
    (void)!eventfd_write(a->wake, 1); /* fails only where it will wake up anyway */
}
