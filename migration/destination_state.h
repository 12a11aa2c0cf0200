/*
 * migration/destination_state.h: the state of a destination, as its phases see it: loading the
 * stream, and the switch-over, each with a header of its own. destination.c runs them. No other
 * code includes it: destination.h is for that.
 */
#pragma once

#include "migration/machine.h"
#include "migration/main_stream.h"
#include "migration/origin.h"
#include "migration/plan.h"
#include "migration/postcopy_in.h"
#include "migration/return_writer.h"
#include "migration/stats.h"
#include "multifd/recv_pool.h"

struct dialect;

struct destination {
    /* Set before the threads start, read-only after. */
    struct destination_config config;
    struct target *target;

    struct channel_group group;
    struct recv_pool *pool;
    struct origin *origin;
    struct migration_stats stats;

    /* Used only by the thread that runs the migration. */
    bool listens; /* or has opened its file */
    struct main_stream stream;
    struct ram_load load; /* the stream's loader of RAM */
    struct stream_in in;
    const struct dialect *dialect; /* set when the configuration has been read */
    struct ram_map ram;
    struct populate *populate;
    struct file_mapping mapping; /* memory that is still mapped from the file */
    bool per_section;            /* the end of each section is a barrier */
    struct postcopy_in postcopy;

    bool holds_guest; /* the source was lost before it confirmed: the guest is here, and paused */

    struct channel *main; /* under the group's lock, because statistics read it */
    struct return_writer return_writer;

    _Atomic uint64_t main_normal, main_zero; /* pages in the main stream, for statistics */
};

/* Sets the status, and tells the observer. */
void destination_arrive_at(struct destination *m, enum migration_status status);
