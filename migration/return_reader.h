/*
 * migration/return_reader.h: the source's end of the return path. One thread reads what the
 * destination sends; other threads wait for the answers that they need. They wait on the group's
 * lock, and every wait has a limit.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/thread.h"
#include "transport/channel_group.h"

/* What a source says in the end whose destination only measures. */
#define RETURN_READER_MEASURED                                                                     \
    "the destination has only measured (a dry run): nothing has moved, and the guest goes on here"

/* The longest waits, in ms; 0 = no limit. */
struct return_reader_limits {
    uint64_t answer_ms;  /* for one answer */
    uint64_t silence_ms; /* without a message, where the destination sends ALIVE */
    uint64_t hurry_ms;   /* for the verdict, where a cancel came too late */
};

struct return_reader {
    /* Set before the thread starts, read-only after. */
    struct channel_group *group;
    struct channel *main;
    struct return_reader_limits limits;

    /* Used only by the thread that runs the migration. */
    struct thread thread;

    /* Under the group's lock. */
    bool known;            /* SHUT has come: `verdict` is valid */
    uint32_t verdict;      /* as SHUT said: 0, or an error number */
    uint32_t pings, pongs; /* PINGs counted by return_reader_ping(), and PONGs that came */
    bool acked;            /* SWITCHOVER_ACK has come: the guest may be stopped */
    bool confirms;         /* the destination will wait for SWITCHOVER_RUN, and sends ALIVE */
    bool measures;         /* the destination will refuse the guest: it only measures */
    bool ready;            /* SWITCHOVER_READY has come: it waits for RUN now */
    uint64_t heard_ns;     /* when the last message came */
};

/* Starts the thread that reads; call it after OPEN_RETURN_PATH. A failure, or an error that the
 * destination reports, fails the group. `a` is zeroed before the call; `group` and `main` must
 * outlive it. */
MUST_USE int return_reader_start(struct return_reader *a, struct channel_group *group,
                                 struct channel *main, const struct return_reader_limits *limits,
                                 struct error *err);
/* Counts a PING that is about to be sent: returns its number. The first one offers the confirmed
 * switch-over. */
uint32_t return_reader_ping(struct return_reader *a);
/* Waits until every PING has been answered. */
MUST_USE int return_reader_await_pong(struct return_reader *a, struct error *err);
/* Waits for SWITCHOVER_ACK until the deadline. Returns 0 also where the deadline has passed. */
MUST_USE int return_reader_await_ack(struct return_reader *a, uint64_t deadline, struct error *err);
bool return_reader_acked(struct return_reader *a);
/* Whether the destination lets the guest run only when it is told to. Known once the first PING has
 * been answered. */
bool return_reader_confirm(struct return_reader *a);
/* Whether the destination only measures, and will refuse the guest. Known once the second PING has
 * been answered. */
bool return_reader_measures(struct return_reader *a);
/* Waits for SWITCHOVER_READY: the destination has everything, and asks whether the guest may
 * run. */
MUST_USE int return_reader_await_ready(struct return_reader *a, struct error *err);
/* Waits for SHUT. Once *hurry is true, the wait is limited by hurry_ms; it is set under the group's
 * lock, with a broadcast. */
MUST_USE int return_reader_await_verdict(struct return_reader *a, const bool *hurry,
                                         struct error *err);
/* Returns when the thread has ended: call it when the verdict has come or main was interrupted. A
 * second call does nothing. */
void return_reader_end(struct return_reader *a);
/* Call it after return_reader_end(). True where the destination has said that it failed; *err says
 * why. Such a destination has no guest, and never will. */
bool return_reader_failed(const struct return_reader *a, struct error *err);
