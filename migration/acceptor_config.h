/*
 * migration/acceptor_config.h: what an acceptor is told when it is made.
 */
#pragma once

#include <stdbool.h>

#include "base/uuid.h"
#include "migration/connect.h"
#include "multifd/recv_pool.h"

struct acceptor_config {
    const struct connect_config *connect; /* the address is where to listen */
    struct channel_group *group;
    struct recv_pool *pool;
    bool refuses_channels;   /* a multifd connection is refused */
    const struct uuid *uuid; /* the UUID that hellos must have; NULL: any */
    bool main_any_time;      /* wait without a limit until main or a channel comes */
    /* A connection was refused; the migration may still come. Called for the first few refusals
     * only, by any thread, with no lock held. NULL: not called. */
    void (*refused)(void *arg, const struct error *why);
    void *arg;
};
