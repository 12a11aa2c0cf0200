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

struct guest_wrong_page {
    unsigned vcpu;
    uint64_t page, found, expected;
};

/* Of all vCPUs together. */
struct guest_verdict {
    uint64_t heartbeats, pages_verified, pages_written;
    uint64_t longest_gap_us; /* between two heartbeats of one vCPU, by the guest's TSC */
    uint64_t errors;         /* wrong pages */
};

/* One vCPU's. */
struct guest_voice {
    uint64_t first_page, n_pages; /* its range; set before it speaks, read-only after */
    uint64_t heartbeats, tsc, verified, written;
};

struct guest_report {
    /* Set before the guest runs, read-only after. */
    unsigned n_vcpus;
    uint64_t tsc_khz;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct guest_voice voices[GUEST_CPUS_MAX];
    uint64_t longest_gap_ticks, errors;
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    bool interrupted, failed;
    struct error failure; /* the first, where `failed` */
};

void guest_report_init(struct guest_report *r);
/*
 * Before the guest runs: the pages from `first_page` on are divided among the vCPUs. n_vcpus: at
 * most GUEST_CPUS_MAX; tsc_khz: at least 10000.
 */
void guest_report_set(struct guest_report *r, unsigned n_vcpus, uint64_t first_page,
                      uint64_t n_pages, uint64_t tsc_khz);
void guest_report_done(struct guest_report *r);

/*
 * A message of a vCPU, on any thread. Fails with ERR_PEER where it cannot be true: no such port, a
 * page that is not the vCPU's, a clock or a count that went backwards.
 */
MUST_USE int guest_report_take(struct guest_report *r, unsigned vcpu, uint16_t port,
                               const uint64_t words[static GUEST_MESSAGE_WORDS], struct error *err);
/* A vCPU runs no more. The first one's reason is kept. */
void guest_report_fail(struct guest_report *r, const struct error *err);
/* Ends every wait, now and later. */
void guest_report_interrupt(struct guest_report *r);

/*
 * Waits until every vCPU has had that many heartbeats and so many wrong pages were told in all.
 * False where that cannot be awaited: a failure, an interrupt, the deadline (clock_ns()).
 */
bool guest_report_wait(struct guest_report *r, uint64_t heartbeats, uint64_t errors,
                       uint64_t deadline);

void guest_report_verdict(struct guest_report *r, struct guest_verdict *ret);
/* The first wrong pages, in the order in which they were told; how many. */
size_t guest_report_wrong(struct guest_report *r, struct guest_wrong_page ret[GUEST_WRONG_KEPT]);
/* 0, or -1 with why a vCPU runs no more. */
MUST_USE int guest_report_failure(struct guest_report *r, struct error *err);
