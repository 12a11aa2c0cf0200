/*
 * migration/measurement.h: what a destination sees of a migration that it only measures: how fast
 * pages come, how long each of the source's rounds takes, and how it ended. It keeps some of the
 * pages, to try packing on them afterwards.
 *
 * A source that is not a ramjet does not say where its rounds end. It sends pages in the order of
 * the block list, so a round ends where a page comes that is not after all that came before.
 */
#pragma once

#include "ram/page_samples.h"

#define MEASURED_ROUNDS_MAX 64 /* of which every figure is kept */

/* How it ended: which sign showed that the source had come to the switch-over. */
enum measured_end {
    MEASURED_NOT,     /* not at all: it was cancelled, or has failed */
    MEASURED_STOPPED, /* the source has stopped its guest, which goes on after the refusal */
    MEASURED_SETTLED, /* its rounds fit into the downtime limit; it waits for switchover-ack */
    MEASURED_TOLD,    /* the source, a ramjet, says that it would stop its guest now */
};

struct measured_round {
    uint64_t ns, bytes; /* bytes: of pages with data */
};

/* What a source knows better than its destination: the command SWITCHOVER_MEASURED. */
struct measured_at_source {
    uint64_t rest_bytes, expected_downtime_us, dirty_bytes_per_s, rounds;
};

struct measurement {
    /* Set before the migration starts, read-only in it. */
    uint64_t downtime_limit_ms; /* the source's, as far as we know */

    /* Any thread. */
    struct page_samples samples;
    _Atomic uint64_t bytes;           /* of pages with data, so far */
    _Atomic uint64_t lowest, highest; /* places of pages, in the present section */

    /* Used only by the thread that runs the migration; by others after its end. */
    uint64_t begun_ns, ended_ns;
    struct measured_round rounds[MEASURED_ROUNDS_MAX]; /* the first ones */
    struct measured_round last;                        /* the newest one */
    size_t n_rounds;                                   /* all that have ended */
    uint64_t round_ns, round_bytes;   /* when the present round began, and what had come by then */
    uint64_t window_ns, window_bytes; /* the same for the present look at the rate */
    uint64_t peak_bytes_per_s;        /* the best look so far; 0: there was none yet */
    uint64_t reached;                 /* the highest place before this section; 0: unknown */
    unsigned empty_sections;          /* in a row */
    uint64_t short_since_ns;          /* rounds have fitted into the limit since; 0: not the last */
    enum measured_end end;
    struct measured_at_source told; /* with MEASURED_TOLD */
};

MUST_USE int measurement_init(struct measurement *m, uint64_t downtime_limit_ms, struct error *err);
void measurement_done(struct measurement *m);

/* Pages of the list's block number `block` have come. Any thread. */
void measurement_pages(struct measurement *m, size_t block, uint64_t offset, const uint8_t *bytes,
                       size_t len);

/* The block list is complete. */
void measurement_begin(struct measurement *m);
/* How the source shows where a round ends. */
enum measured_by {
    MEASURED_BY_PLACES, /* not at all: by the pages' places */
    MEASURED_BY_WORDS,  /* with a word in the stream: `word` */
    MEASURED_BY_PARTS,  /* each part of RAM's section is a round */
};
/* A part of RAM's section has ended, and all its pages are here; or a word has come. Returns true
 * where a round has ended. */
bool measurement_section(struct measurement *m, enum measured_by by, bool word);
/* Whether every round has fitted into the downtime limit for a while: a source that has not stopped
 * its guest by now waits for an answer. */
bool measurement_is_settled(const struct measurement *m);
void measurement_end(struct measurement *m, enum measured_end end);

/* --- afterwards ------------------------------------------------------------------------------ */

uint64_t measurement_ns(const struct measurement *m); /* from the list to the end */
/* The rate at which pages come when the source has enough of them. */
uint64_t measurement_bytes_per_s(const struct measurement *m);
/* The rate at which the guest writes pages anew, as the rounds show it; 0: they do not. */
uint64_t measurement_dirty_bytes_per_s(const struct measurement *m);
/* Whether what has come says how long the guest would have been stopped. If not, the source has
 * stopped it after its first round: the rest was within the source's downtime limit. */
bool measurement_tells_downtime(const struct measurement *m);
/* About how long the guest would have been stopped for the rest of its pages. `unseen_bytes` of the
 * guest's memory had not come at all by the end. */
uint64_t measurement_downtime_us(const struct measurement *m, uint64_t unseen_bytes);
