#include "vmm/guest_report.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"

/* More pages than anyone counts: what bounds the sums over all vCPUs. */
#define COUNT_MAX (UINT64_C(1) << 56)

void guest_report_init(struct guest_report *r)
{
    memset(r, 0, sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->news, NULL);
}

void guest_report_set(struct guest_report *r, unsigned n_vcpus, uint64_t first_page,
                      uint64_t n_pages, uint64_t tsc_khz)
{
    r->n_vcpus = n_vcpus;
    r->tsc_khz = tsc_khz;
    for (unsigned i = 0; i < n_vcpus; i++) {
        uint64_t from = n_pages * i / n_vcpus, to = n_pages * (i + 1) / n_vcpus;

        r->voices[i].first_page = first_page + from;
        r->voices[i].n_pages = to - from;
    }
}

void guest_report_done(struct guest_report *r)
{
    pthread_cond_destroy(&r->news);
    pthread_mutex_destroy(&r->lock);
}

/* --- what the guest says --------------------------------------------------------------------- */

static int take_heartbeat(struct guest_report *r, struct guest_voice *v, const uint64_t *words,
                          struct error *err)
{
    uint64_t tsc = words[0], verified = words[1], written = words[2];

    if (tsc < v->tsc)
        return err_set(err, ERR_PEER, "heartbeat at TSC %" PRIu64 ", behind one at %" PRIu64, tsc,
                       v->tsc);
    if (verified < v->verified || written < v->written || verified > COUNT_MAX ||
        written > COUNT_MAX)
        return err_set(err, ERR_PEER,
                       "heartbeat with %" PRIu64 " pages verified and %" PRIu64 " written, after "
                       "%" PRIu64 " and %" PRIu64,
                       verified, written, v->verified, v->written);
    if (v->heartbeats)
        r->longest_gap_ticks = MAX(r->longest_gap_ticks, tsc - v->tsc);
    v->heartbeats++;
    v->tsc = tsc;
    v->verified = verified;
    v->written = written;
    return 0;
}

static int take_wrong_page(struct guest_report *r, const struct guest_voice *v,
                           const uint64_t *words, struct error *err)
{
    uint64_t page = words[0];

    if (page < v->first_page || page - v->first_page >= v->n_pages)
        return err_set(err, ERR_PEER,
                       "tells of page %" PRIu64 ", expected %" PRIu64 " pages from %" PRIu64, page,
                       v->n_pages, v->first_page);
    if (r->errors < GUEST_WRONG_KEPT)
        r->wrong[r->errors] = (struct guest_wrong_page){
            .vcpu = (unsigned)(v - r->voices),
            .page = page,
            .found = words[1],
            .expected = words[2],
        };
    r->errors++;
    return 0;
}

int guest_report_take(struct guest_report *r, unsigned vcpu, uint16_t port,
                      const uint64_t words[static GUEST_MESSAGE_WORDS], struct error *err)
{
    struct guest_voice *v = &r->voices[vcpu];
    int rc;

    pthread_mutex_lock(&r->lock);
    switch (port) {
    case GUEST_PORT_HEARTBEAT:
        rc = take_heartbeat(r, v, words, err);
        break;
    case GUEST_PORT_WRONG_PAGE:
        rc = take_wrong_page(r, v, words, err);
        break;
    default:
        rc = err_set(err, ERR_PEER, "writes to port 0x%x, which is nobody's", port);
    }
    pthread_cond_broadcast(&r->news);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

void guest_report_fail(struct guest_report *r, const struct error *err)
{
    pthread_mutex_lock(&r->lock);
    if (!r->failed)
        r->failure = *err;
    r->failed = true;
    pthread_cond_broadcast(&r->news);
    pthread_mutex_unlock(&r->lock);
}

void guest_report_interrupt(struct guest_report *r)
{
    pthread_mutex_lock(&r->lock);
    r->interrupted = true;
    pthread_cond_broadcast(&r->news);
    pthread_mutex_unlock(&r->lock);
}

/* --- what is known of it --------------------------------------------------------------------- */

static bool has_said(const struct guest_report *r, uint64_t heartbeats, uint64_t errors)
{
    for (unsigned i = 0; i < r->n_vcpus; i++) {
        if (r->voices[i].heartbeats < heartbeats)
            return false;
    }
    return r->errors >= errors;
}

bool guest_report_wait(struct guest_report *r, uint64_t heartbeats, uint64_t errors,
                       uint64_t deadline)
{
    struct timespec until = deadline_timespec(deadline);
    bool said;

    pthread_mutex_lock(&r->lock);
    while (!(said = has_said(r, heartbeats, errors)) && !r->failed && !r->interrupted) {
        if (deadline == DEADLINE_NEVER)
            pthread_cond_wait(&r->news, &r->lock);
        else if (clock_ns() >= deadline)
            break;
        else
            pthread_cond_clockwait(&r->news, &r->lock, CLOCK_MONOTONIC, &until);
    }
    pthread_mutex_unlock(&r->lock);
    return said;
}

/* In two parts: the guest says what ticks there are, and their product need not fit. */
static uint64_t ticks_us(const struct guest_report *r, uint64_t ticks)
{
    return ticks / r->tsc_khz * 1000 + ticks % r->tsc_khz * 1000 / r->tsc_khz;
}

void guest_report_verdict(struct guest_report *r, struct guest_verdict *ret)
{
    pthread_mutex_lock(&r->lock);
    *ret = (struct guest_verdict){
        .longest_gap_us = ticks_us(r, r->longest_gap_ticks),
        .errors = r->errors,
    };
    for (unsigned i = 0; i < r->n_vcpus; i++) {
        ret->heartbeats += r->voices[i].heartbeats;
        ret->pages_verified += r->voices[i].verified;
        ret->pages_written += r->voices[i].written;
    }
    pthread_mutex_unlock(&r->lock);
}

size_t guest_report_wrong(struct guest_report *r, struct guest_wrong_page ret[GUEST_WRONG_KEPT])
{
    pthread_mutex_lock(&r->lock);
    size_t n = MIN(r->errors, (uint64_t)GUEST_WRONG_KEPT);
    memcpy(ret, r->wrong, n * sizeof(*ret));
    pthread_mutex_unlock(&r->lock);
    return n;
}

int guest_report_failure(struct guest_report *r, struct error *err)
{
    pthread_mutex_lock(&r->lock);
    if (r->failed)
        *err = r->failure;
    int rc = r->failed ? -1 : 0;
    pthread_mutex_unlock(&r->lock);
    return rc;
}
