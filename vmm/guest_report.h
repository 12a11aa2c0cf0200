/*
 * vmm/guest_report.h: what a guest says of itself (vmm/guest/ports.h): checked, counted, and waited
 * for. Knows neither KVM nor threads of vCPUs; a guest may say anything.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "vmm/guest/params.h"
#include "vmm/guest/ports.h"

/* So many wrong pages are kept in full; all are counted. */
#define GUEST_WRONG_KEPT 16

#define GUEST_WRONG_TEXT 160 /* bytes, for one of them as text */

struct guest_wrong_page {
    unsigned vcpu;
    unsigned state; /* a GUEST_STATE of ports.h: no page was wrong, but this; 0: the page */
    uint64_t page;  /* of a state: which register */
    uint64_t found, expected;
};

/* Of all vCPUs together. */
struct guest_verdict {
    uint64_t heartbeats, pages_verified, pages_written;
    uint64_t longest_gap_us; /* between two heartbeats of one vCPU, by the guest's TSC */
    /* The longest over the vCPUs of the gap that the last move has made; 0 until they are heard. */
    uint64_t last_move_gap_us;
    uint64_t moves;  /* how often it went on elsewhere */
    uint64_t sweeps; /* how often each vCPU has verified all of its pages since the last move */
    uint64_t errors; /* wrong pages and states */
    bool shared;     /* guest_report_share(): it need not say anything */
    uint64_t facts[GUEST_FACT_COUNT]; /* as some vCPU has said, or 0 */
};

/*
 * What goes along when a guest moves, so that its report goes on where it goes on. Plain data in
 * native byte order.
 */
struct guest_report_state {
    uint64_t n_vcpus, shared, longest_gap_us, moves, errors;
    uint64_t ended, exit_code; /* it has ended itself, while it was on its way */
    uint64_t facts[GUEST_FACT_COUNT];
    struct guest_voice_state {
        uint64_t heartbeats, tsc, verified, written;
    } voices[GUEST_CPUS_MAX];
};

/* One vCPU's. */
struct guest_voice {
    uint64_t first_page, n_pages; /* its range; set before it speaks, read-only after */
    struct guest_voice_state said;
    bool moved;         /* not heard since it was moved */
    uint64_t since_tsc; /* sweeps that began earlier do not count */
    uint64_t sweeps;
};

struct guest_report {
    /* Set before the guest runs, read-only after. */
    unsigned n_vcpus;
    uint64_t tsc_khz, end_page;
    bool shared; /* or when it has come */

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
 * After that: the guest is a user's own, which may not know whose pages are whose: every vCPU may
 * tell of any page, from 0 on.
 */
void guest_report_share(struct guest_report *r);
void guest_report_done(struct guest_report *r);

/*
 * A message of a vCPU, on any thread. Fails with ERR_PEER where it cannot be true: no such port, a
 * page that is not the vCPU's, a clock or a count that went backwards. A clock that went backwards
 * over a move is the host's fault, and an error of the guest's state. GUEST_PORT_WAIT is
 * not for here: whoever runs the vCPU lets it wait.
 */
MUST_USE int guest_report_take(struct guest_report *r, unsigned vcpu, uint16_t port,
                               const uint64_t words[static GUEST_MESSAGE_WORDS], struct error *err);
/* A vCPU runs no more. The first one's reason is kept, unless the guest has ended before. */
void guest_report_fail(struct guest_report *r, const struct error *err);
/* Ends every wait, now and later. */
void guest_report_interrupt(struct guest_report *r);

/*
 * Waits until every vCPU has had that many heartbeats and so many errors were told in all. False
 * where that cannot be awaited: a failure, the guest's own end, an interrupt, the deadline
 * (clock_ns()).
 */
bool guest_report_wait(struct guest_report *r, uint64_t heartbeats, uint64_t errors,
                       uint64_t deadline);
/*
 * The same until every vCPU has verified all of its pages that often since the last move, or since
 * the start. Not every guest says so: counter and payloads do not.
 */
bool guest_report_wait_swept(struct guest_report *r, uint64_t sweeps, uint64_t deadline);

void guest_report_verdict(struct guest_report *r, struct guest_verdict *ret);
/* The first errors told here, in their order; how many. */
size_t guest_report_wrong(struct guest_report *r, struct guest_wrong_page ret[GUEST_WRONG_KEPT]);
/* One error as text: "page 512: found 0x…, expected 0x… (vCPU 0)". */
void guest_report_describe(const struct guest_wrong_page *wrong, char *ret, size_t len);
/* True, and with which code, where the guest has ended itself. */
bool guest_report_ended(struct guest_report *r, uint64_t *ret_code);

/* The guest stands still. */
void guest_report_get_state(struct guest_report *r, struct guest_report_state *ret);
/*
 * A guest that was moved here goes on: after guest_report_set(), before it runs. The state is a
 * peer's: ERR_PEER where it cannot be.
 */
MUST_USE int guest_report_set_state(struct guest_report *r, const struct guest_report_state *state,
                                    struct error *err);
/* 0, or -1 with why a vCPU runs no more. */
MUST_USE int guest_report_failure(struct guest_report *r, struct error *err);
