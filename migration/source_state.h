/*
 * migration/source_state.h: the state of a source while it runs, and what every phase, and any
 * thread, may ask of it. The phases use it, each with a header of its own; source.c runs them. No
 * other code includes it: source.h is for that.
 */
#pragma once

#include "migration/converge.h"
#include "migration/downtime_estimate.h"
#include "migration/machine.h"
#include "migration/plan.h"
#include "migration/pre_switchover.h"
#include "migration/return_reader.h"
#include "migration/stats.h"
#include "ram/page_sink.h"
#include "ram/ram_save.h"
#include "stream/stream_out.h"
#include "transport/file.h"

/* The description says where the stream ends and what is in it: a destination reads no stream
 * without one. */
#define OUTGOING_NO_DESCRIPTION "the machine's device sections end in no description"

struct source {
    /* Set before the threads start, read-only after. */
    struct source_config config; /* as the caller chose; `plan` has what follows from it */
    struct plan plan;
    struct machine *machine;
    struct ram_map ram;         /* its blocks, as they were when the migration was accepted */
    struct dirty_source *dirty; /* NULL: the pages that travel do not change any more */
    struct connect_greeting greeting;

    struct channel_group group;
    struct migration_stats stats;
    _Atomic uint64_t absent_pages; /* pages that main's thread reports as zero without a look */

    /* Used only by the thread that runs the migration. */
    struct file_target file; /* the file that is written; none: there is a peer */
    /* For a mapped-ram file, by block: where its pages are, and which ones are there. */
    struct mapped_ram *mapped;
    struct dirty_bitmap *written;
    struct stream_out out;
    struct ram_round round;
    struct ram_save save;
    struct downtime_estimate estimate;
    struct converge converge;
    uint64_t sent_bytes, sent_ns; /* by the last round, and how long it took */
    uint64_t synced_ns;           /* when the dirty log was last read, or started */
    uint64_t written_bytes;       /* pages that were newly found then, in bytes */
    uint64_t rest_bytes;          /* what was left to send then */
    uint64_t ready_ns;            /* since when only the destination's ack is missing; 0: not yet */
    uint64_t stopped_ns;          /* when the guest was stopped; 0: it runs */
    /* The guest may run at the destination: `left`, unless the destination says that it has
     * failed; `torn`, even if it says so, because the stream was cut where a QEMU already runs
     * the guest. */
    bool left;
    bool torn;

    struct return_reader return_reader;
    struct pre_switchover pre_switchover;

    /* Under the group's lock. */
    struct runtime_parameters live;
    bool switching; /* the switch-over has begun */
    struct migration_meter meter;
    struct channel *main;
    struct page_sink *sink; /* set once source_stats() may look at it */
    bool cancel_wanted;
    /* The destination may have everything and wait for RUN or DROP: a failure sends DROP. */
    bool asking;
    bool leaving; /* all is over; the channels are being closed */
};

/* Puts the rate limit in force after a change. Under the group's lock. */
void source_limit(struct source *m);
/* The settings that may change, as they are now. */
struct runtime_parameters source_parameters_now(struct source *m);
/* The bytes that main's own thread has sent: the stream, and pages that no other thread writes. */
uint64_t source_main_bytes(const struct source *m);
/* What source_stats() returns. Any thread. */
void source_snapshot(struct source *m, struct migration_snapshot *ret);
/* Moves from one status to the next. If a cancel came first, that is the group's failure, and this
 * fails with it. */
MUST_USE int source_move(struct source *m, enum migration_status from, enum migration_status to,
                         struct error *err);
/* Sets the status where no cancel can come in between any more. */
void source_arrive_at(struct source *m, enum migration_status status);
/* Tells the statistics what slows the guest down now. */
void source_tell_converge(struct source *m);
