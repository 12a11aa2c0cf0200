/*
 * migration/outgoing_state.h: what a source knows while it runs, and what every phase, and any
 * thread, may ask of it. The phases stand on it, each with a header of its own; outgoing.c runs
 * them. Nobody else includes it: outgoing.h is for others.
 */
#pragma once

#include "migration/answers.h"
#include "migration/converge.h"
#include "migration/machine.h"
#include "migration/pace.h"
#include "migration/pause.h"
#include "migration/plan.h"
#include "migration/stats.h"
#include "ram/page_sink.h"
#include "ram/ram_save.h"
#include "stream/stream_out.h"
#include "transport/file.h"

/* Where it ends, and what is in it: a destination reads no stream without one. */
#define OUTGOING_NO_DESCRIPTION "the machine's device sections end in no description"

struct outgoing {
    /* Set before the threads start, read-only after. */
    struct outgoing_config config; /* values: what follows from them is the plan's */
    struct plan plan;
    struct machine *machine;
    struct ram_map ram;         /* its blocks, as they were when the migration was accepted */
    struct dirty_source *dirty; /* NULL: no page that travels changes any more */
    struct connect_greeting greeting;

    struct channel_group group;
    struct migration_stats stats;
    _Atomic uint64_t absent_pages; /* that main's thread says to be zero without a look */

    /* The running thread's alone. */
    struct file_target file; /* that is written; none: there is a peer */
    /* Of a mapped-ram file, for each block: where its pages are, and which are there. */
    struct mapped_ram *mapped;
    struct dirty_bitmap *written;
    struct stream_out out;
    struct ram_round round;
    struct ram_save save;
    struct pace pace;
    struct converge converge;
    uint64_t sent_bytes, sent_ns; /* of the last round: whole pages, and how long it took */
    uint64_t synced_ns;           /* when the dirty log was last read, or started */
    uint64_t written_bytes;       /* that it found new */
    uint64_t rest_bytes;          /* that were to be sent then */
    uint64_t ready_ns;   /* since when only the destination's word is missing; 0: it is not */
    uint64_t stopped_ns; /* when the guest was stopped; 0: it runs */
    bool left;           /* the guest may run at the destination, unless that says otherwise, */
    bool torn;           /* or even then: the stream was cut where a QEMU runs already */

    struct answers answers;
    struct pause pause;

    /* Under the group's lock. */
    struct outgoing_live live;
    bool switching; /* the switch-over has begun */
    struct migration_meter meter;
    struct channel *main;
    struct page_sink *sink; /* what outgoing_stats() may look at */
    bool cancel_wanted;
    bool asking;  /* the destination may have all and wait for RUN or DROP: a failure says DROP */
    bool leaving; /* all is over but the goodbyes */
};

/* Under the group's lock, after a change: puts the rate limit in force. */
void outgoing_limit(struct outgoing *m);
/* What may change, as it is now. */
struct outgoing_live outgoing_live_now(struct outgoing *m);
/* What main's own thread has sent, in bytes: the stream, and pages that no other thread writes. */
uint64_t outgoing_main_bytes(const struct outgoing *m);
/* What outgoing_stats() tells. Any thread. */
void outgoing_snapshot(struct outgoing *m, struct migration_snapshot *ret);
/* From one status to the next, unless a cancel came first, which is the group's failure then. */
MUST_USE int outgoing_move(struct outgoing *m, enum migration_status from, enum migration_status to,
                           struct error *err);
/* The same, where nothing comes in between any more. */
void outgoing_arrive_at(struct outgoing *m, enum migration_status status);
/* Lets statistics know what slows the guest now. */
void outgoing_tell_converge(struct outgoing *m);
