/*
 * migration/source_state.h: the state of a source: what survives a cut of its link, and what every
 * phase, and any thread, may ask of it. The phases use it, each with a header of its own; source.c
 * runs them. No other code includes it: source.h is for that.
 */
#pragma once

#include "migration/converge.h"
#include "migration/downtime_estimate.h"
#include "migration/link.h"
#include "migration/machine.h"
#include "migration/plan.h"
#include "migration/pre_switchover.h"
#include "migration/stats.h"
#include "ram/ram_save.h"
#include "ram/stripe.h"

/* The description says where the stream ends and what is in it: a destination reads no stream
 * without one. */
#define SOURCE_NO_DESCRIPTION "the machine's device sections end in no description"

/* What the last pass over memory has shown. */
struct source_pace {
    uint64_t sent_bytes, sent_ns; /* by the last round, and how long it took */
    uint64_t synced_ns;           /* when the dirty log was last read, or started */
    uint64_t written_bytes;       /* pages that were newly found then, in bytes */
    uint64_t rest_bytes;          /* what was left to send then */
};

struct source {
    /* Set before the threads start, read-only after. */
    struct source_config config; /* as the caller chose; `plan` has what follows from it */
    struct plan plan;
    struct machine *machine;
    struct ram_map ram;         /* its blocks, as they were when the migration was accepted */
    struct dirty_source *dirty; /* NULL: the pages that travel do not change any more */

    /* Any thread. */
    struct migration_stats stats;
    struct pre_switchover pre_switchover;

    /* Used only by the thread that runs the migration. */
    struct section_savers savers; /* of the sections that iterate; RAM's is `save` */
    struct ram_save save;
    struct ram_round round; /* the pages that are still to be sent */
    struct source_pace pace;
    struct downtime_estimate estimate;
    struct converge converge;
    uint64_t stopped_ns; /* when the guest was stopped; 0: it runs */
    /* The guest may run at the destination: `left`, unless the destination says that it has
     * failed; `torn`, even if it says so, because the stream was cut where a QEMU already runs
     * the guest. */
    bool left;
    bool torn;

    /* Under the lock, which is taken before the link's own. */
    pthread_mutex_t lock;
    struct runtime_parameters live;
    bool switching; /* the switch-over has begun */
    bool cancelled; /* a cancel has come: a link that is made now is cancelled, too */
    struct migration_meter meter;
    struct advice advice; /* only the thread that runs the migration changes it */
    /* NULL: none. The thread that runs the migration changes it, and reads it without the lock. */
    struct link *link;
};

/* Gives it a link, not connected yet. From here on a cancel ends the link. */
MUST_USE int source_take_link(struct source *m, struct error *err);
/* The switch-over has begun: its rate limit holds from here on. */
void source_begin_switching(struct source *m);
/* Takes settings that have changed. Any thread. */
void source_set_parameters(struct source *m, const struct runtime_parameters *live);
/* The settings that may change, as they are now. */
struct runtime_parameters source_parameters_now(struct source *m);
/* What source_stats() returns. Any thread. */
void source_snapshot(struct source *m, struct migration_snapshot *ret);
/* Moves from one status to the next. If a cancel came first, that is the link's failure, and this
 * fails with it. */
MUST_USE int source_move(struct source *m, enum migration_status from, enum migration_status to,
                         struct error *err);
/* Sets the status where no cancel can come in between any more. */
void source_arrive_at(struct source *m, enum migration_status status);
/* Tells the statistics what slows the guest down now. */
void source_tell_converge(struct source *m);
