/*
 * migration/outgoing_inside.h: what the source's files share. Nobody else includes it: outgoing.h
 * is for others. outgoing.c has its life, and what any thread may ask; the others are one phase
 * each.
 */
#pragma once

#include "migration/answers.h"
#include "migration/converge.h"
#include "migration/outgoing.h"
#include "migration/pace.h"
#include "migration/pause.h"
#include "ram/page_inline.h"
#include "ram/page_sink.h"
#include "ram/ram_save.h"
#include "stream/stream_out.h"
#include "transport/file.h"

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
    struct page_counters counters; /* of pages on the main stream */

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
    /* Of its channels; NULL: it has none. */
    const struct channel_stats *(*channel_stats)(const struct page_sink *sink, size_t i,
                                                 struct channel_traffic *ret);
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
/* From one status to the next, unless a cancel came first, which is the group's failure then. */
MUST_USE int outgoing_move(struct outgoing *m, enum migration_status from, enum migration_status to,
                           struct error *err);

/* Lets statistics know what is in force. */
void outgoing_tell_converge(struct outgoing *m);

/* outgoing_setup.c: all channels, and the stream through RAM's first section. */
MUST_USE int outgoing_set_up(struct outgoing *m, struct error *err);

/* outgoing_rounds.c: rounds until it is time to stop the guest, */
MUST_USE int outgoing_rounds(struct outgoing *m, struct error *err);
/* what the guest wrote since the last round, it may run or be stopped, */
MUST_USE int outgoing_sync(struct outgoing *m, struct error *err);
/* and one round. */
MUST_USE int outgoing_round(struct outgoing *m, bool last, struct error *err);

/* outgoing_end.c: stops the guest, which may stand already, sends the rest, and says goodbye. */
MUST_USE int outgoing_stop_guest(struct outgoing *m, struct error *err);
MUST_USE int outgoing_switch_over(struct outgoing *m, struct error *err);
/* Tells a destination that waits for it that the guest stays here. Under the group's lock. */
void outgoing_farewell(void *outgoing, const struct error *err);
/* Lets the guest run again, where that has come to nothing. */
void outgoing_release_guest(struct outgoing *m);
