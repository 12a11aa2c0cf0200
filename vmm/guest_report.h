/*
 * vmm/guest_report.h: a guest's messages about itself (vmm/guest/ports.h): checks them, counts them
 * and waits for them. Knows neither KVM nor vCPU threads; a guest may send anything.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "vmm/guest/params.h"
#include "vmm/guest/ports.h"

/* This many wrong pages are kept in full; all are counted. */
#define GUEST_WRONG_KEPT 16

#define GUEST_WRONG_TEXT 160 /* bytes, for one of them as text */

struct guest_wrong_page {
    unsigned vcpu;
    unsigned state; /* a GUEST_STATE of ports.h that was wrong; 0: a page was wrong */
    uint64_t page;  /* where `state` is set: the register's number */
    uint64_t found, expected;
};

/* Of all vCPUs together. */
struct guest_verdict {
    uint64_t heartbeats, pages_verified, pages_written;
    uint64_t longest_gap_us; /* between two heartbeats of one vCPU, by the guest's TSC */
    /* The longest gap of any vCPU over the last move; 0 until all have been heard after it. */
    uint64_t last_move_gap_us;
    uint64_t moves;  /* how often the guest has moved to another machine */
    uint64_t sweeps; /* how often each vCPU has verified all of its pages since the last move */
    uint64_t errors; /* wrong pages and states */
    bool shared;     /* guest_report_share(): the guest need not send anything */
    uint64_t facts[GUEST_FACT_COUNT]; /* as some vCPU has reported them, or 0 */
};

/*
 * The part of a report that moves with the guest, so that the report continues at the destination.
 * Plain data in native byte order.
 */
struct guest_report_state {
    uint64_t n_vcpus, shared, longest_gap_us, moves, errors;
    uint64_t ended, exit_code; /* the guest has ended itself, before it moved */
    uint64_t facts[GUEST_FACT_COUNT];
    struct guest_voice_state {
        uint64_t heartbeats, tsc, verified, written;
    } voices[GUEST_CPUS_MAX];
};

/* The report of one vCPU. */
struct guest_voice {
    uint64_t first_page, n_pages; /* its range; set before its first message, read-only after */
    struct guest_voice_state said;
    bool moved;         /* no heartbeat has come since it was moved */
    uint64_t since_tsc; /* sweeps that began earlier do not count */
    uint64_t sweeps;
};

struct guest_report {
    /* Set before the guest runs, read-only after. */
    unsigned n_vcpus;
    uint64_t tsc_khz, end_page;
    bool shared; /* also set when the guest has come by a migration */

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct guest_voice voices[GUEST_CPUS_MAX];
    uint64_t longest_gap_us, last_move_gap_us, moves, errors;
    uint64_t facts[GUEST_FACT_COUNT];
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    size_t n_wrong;
    bool interrupted, failed, ended;
    uint64_t exit_code;   /* where `ended` */
    struct error failure; /* the first, where `failed` */
};

void guest_report_init(struct guest_report *r);
/*
 * Before the guest runs: the pages from `first_page` on are divided among the vCPUs. n_vcpus: at
 * most GUEST_CPUS_MAX; tsc_khz: at least 10000.
 */
void guest_report_set(struct guest_report *r, unsigned n_vcpus, uint64_t first_page,
                      uint64_t n_pages, uint64_t tsc_khz);
/*
 * After guest_report_set(), for a user's own guest, which may not know that each vCPU has its own
 * pages: every vCPU may report any page, from 0 on.
 */
void guest_report_share(struct guest_report *r);
void guest_report_done(struct guest_report *r);

/*
 * Any thread: takes a vCPU's message. Fails with ERR_PEER where it cannot be true: no such port, a
 * page that is not the vCPU's, a clock or a count that went backwards. A clock that a move has set
 * back is the host's fault, and counts as an error of the guest's state. GUEST_PORT_WAIT must not
 * come here: the code that runs the vCPU lets it wait.
 */
MUST_USE int guest_report_take(struct guest_report *r, unsigned vcpu, uint16_t port,
                               const uint64_t words[static GUEST_MESSAGE_WORDS], struct error *err);
/* A vCPU has failed. The first reason is kept, unless the guest has ended itself before. */
void guest_report_fail(struct guest_report *r, const struct error *err);
/* Ends all waits, present and later ones. */
void guest_report_interrupt(struct guest_report *r);

/*
 * Waits until every vCPU has had that many heartbeats and the guest has reported that many errors
 * in all. False where the wait ends before: a failure, the guest's own end, an interrupt, the
 * deadline (clock_ns()).
 */
bool guest_report_wait(struct guest_report *r, uint64_t heartbeats, uint64_t errors,
                       uint64_t deadline);
/*
 * Waits in the same way until every vCPU has verified all of its pages that often since the last
 * move, or since the start. Not every guest reports that: counter and users' payloads do not.
 */
bool guest_report_wait_swept(struct guest_report *r, uint64_t sweeps, uint64_t deadline);

void guest_report_verdict(struct guest_report *r, struct guest_verdict *ret);
/* The first errors that were reported to this machine, in their order; returns how many. */
size_t guest_report_wrong(struct guest_report *r, struct guest_wrong_page ret[GUEST_WRONG_KEPT]);
/* One error as text: "page 512: found 0x…, expected 0x… (vCPU 0)". */
void guest_report_describe(const struct guest_wrong_page *wrong, char *ret, size_t len);
/* True where the guest has ended itself; *ret_code is its exit code. */
bool guest_report_ended(struct guest_report *r, uint64_t *ret_code);

/* While the guest is paused. */
void guest_report_get_state(struct guest_report *r, struct guest_report_state *ret);
/*
 * For a guest that was moved here: after guest_report_set(), before it runs. The state comes from a
 * peer: ERR_PEER where it cannot be true.
 */
MUST_USE int guest_report_set_state(struct guest_report *r, const struct guest_report_state *state,
                                    struct error *err);
/* 0, or -1 with the reason why a vCPU has failed. */
MUST_USE int guest_report_failure(struct guest_report *r, struct error *err);
