#include "vmm/guest_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* More than any real count; it keeps sums over all vCPUs from overflowing. */
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
    r->end_page = first_page + n_pages;
    for (unsigned i = 0; i < n_vcpus; i++) {
        uint64_t from = n_pages * i / n_vcpus, to = n_pages * (i + 1) / n_vcpus;

        r->voices[i].first_page = first_page + from;
        r->voices[i].n_pages = to - from;
    }
}

void guest_report_share(struct guest_report *r)
{
    r->shared = true;
    for (unsigned i = 0; i < r->n_vcpus; i++) {
        r->voices[i].first_page = 0;
        r->voices[i].n_pages = r->end_page;
    }
}

void guest_report_done(struct guest_report *r)
{
    pthread_cond_destroy(&r->news);
    pthread_mutex_destroy(&r->lock);
}

/* --- what the guest says --------------------------------------------------------------------- */

/* In two parts: the guest chooses `ticks`, and ticks * 1000 might overflow. */
static uint64_t ticks_us(const struct guest_report *r, uint64_t ticks)
{
    return ticks / r->tsc_khz * 1000 + ticks % r->tsc_khz * 1000 / r->tsc_khz;
}

static void note_error(struct guest_report *r, const struct guest_wrong_page *wrong)
{
    if (r->n_wrong < GUEST_WRONG_KEPT)
        r->wrong[r->n_wrong++] = *wrong;
    r->errors++;
}

static void note_gap(struct guest_report *r, struct guest_voice *v, uint64_t tsc)
{
    uint64_t gap_us = ticks_us(r, tsc - v->said.tsc);

    r->longest_gap_us = MAX(r->longest_gap_us, gap_us);
    if (v->moved)
        r->last_move_gap_us = MAX(r->last_move_gap_us, gap_us);
}

/* A vCPU's first heartbeat ends no gap. A TSC that a move has set back is an error, not a gap. */
static int take_tsc(struct guest_report *r, struct guest_voice *v, uint64_t tsc, struct error *err)
{
    const struct guest_wrong_page set_back = {
        .vcpu = (unsigned)(v - r->voices),
        .state = GUEST_STATE_TSC,
        .found = tsc,
        .expected = v->said.tsc,
    };

    if (tsc < v->said.tsc && !v->moved)
        return err_set(err, ERR_PEER, "heartbeat at TSC %" PRIu64 ", earlier than one at %" PRIu64,
                       tsc, v->said.tsc);
    if (tsc < v->said.tsc)
        note_error(r, &set_back);
    else if (v->said.heartbeats)
        note_gap(r, v, tsc);
    if (v->moved)
        v->since_tsc = tsc;
    v->moved = false;
    v->said.tsc = tsc;
    return 0;
}

static int take_heartbeat(struct guest_report *r, struct guest_voice *v, const uint64_t *words,
                          struct error *err)
{
    uint64_t tsc = words[0], verified = words[1], written = words[2];

    if (verified < v->said.verified || written < v->said.written || verified > COUNT_MAX ||
        written > COUNT_MAX)
        return err_set(err, ERR_PEER,
                       "heartbeat with %" PRIu64 " pages verified and %" PRIu64 " written, after "
                       "%" PRIu64 " and %" PRIu64,
                       verified, written, v->said.verified, v->said.written);
    if (take_tsc(r, v, tsc, err) < 0)
        return -1;
    v->said.heartbeats++;
    v->said.verified = verified;
    v->said.written = written;
    return 0;
}

static int take_wrong_page(struct guest_report *r, struct guest_voice *v, const uint64_t *words,
                           struct error *err)
{
    uint64_t page = words[0];
    const struct guest_wrong_page wrong = {
        .vcpu = (unsigned)(v - r->voices),
        .page = page,
        .found = words[1],
        .expected = words[2],
    };

    if (page < v->first_page || page - v->first_page >= v->n_pages)
        return err_set(err, ERR_PEER,
                       "reports page %" PRIu64 ", expected %" PRIu64 " pages from %" PRIu64, page,
                       v->n_pages, v->first_page);
    note_error(r, &wrong);
    return 0;
}

static int take_wrong_state(struct guest_report *r, struct guest_voice *v, const uint64_t *words,
                            struct error *err)
{
    uint64_t which = words[0], kind = GUEST_STATE_KIND(which), index = GUEST_STATE_INDEX(which);
    const struct guest_wrong_page wrong = {
        .vcpu = (unsigned)(v - r->voices),
        .state = (unsigned)kind,
        .page = index,
        .found = words[1],
        .expected = words[2],
    };

    if (kind == 0 || kind >= GUEST_STATE_COUNT || GUEST_STATE_OF(kind, index) != which)
        return err_set(err, ERR_PEER, "reports state 0x%" PRIx64 ", which does not exist", which);
    note_error(r, &wrong);
    return 0;
}

/* Only a sweep that began after the last move says anything about that move. */
static int take_swept(struct guest_report *r, struct guest_voice *v, const uint64_t *words,
                      struct error *err)
{
    (void)r;
    if (words[1] > v->n_pages)
        return err_set(err, ERR_PEER, "has swept %" PRIu64 " pages, expected at most %" PRIu64,
                       words[1], v->n_pages);
    if (!v->moved && words[0] >= v->since_tsc)
        v->sweeps++;
    return 0;
}

static int take_fact(struct guest_report *r, struct guest_voice *v, const uint64_t *words,
                     struct error *err)
{
    (void)v;
    if (words[0] >= GUEST_FACT_COUNT)
        return err_set(err, ERR_PEER, "reports fact %" PRIu64 ", which does not exist", words[0]);
    r->facts[words[0]] = words[1];
    return 0;
}

/* The first exit code counts. */
static int take_exit(struct guest_report *r, struct guest_voice *v, const uint64_t *words,
                     struct error *err)
{
    (void)v;
    (void)err;
    if (!r->ended)
        r->exit_code = words[0];
    r->ended = true;
    return 0;
}

static const struct {
    uint16_t port;
    int (*take)(struct guest_report *r, struct guest_voice *v, const uint64_t *words,
                struct error *err);
} messages[] = {
    {GUEST_PORT_HEARTBEAT, take_heartbeat},
    {GUEST_PORT_WRONG_PAGE, take_wrong_page},
    {GUEST_PORT_WRONG_STATE, take_wrong_state},
    {GUEST_PORT_SWEPT, take_swept},
    {GUEST_PORT_FACT, take_fact},
    {GUEST_PORT_EXIT, take_exit},
};

static int take(struct guest_report *r, struct guest_voice *v, uint16_t port, const uint64_t *words,
                struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        if (messages[i].port == port)
            return messages[i].take(r, v, words, err);
    }
    return err_set(err, ERR_PEER, "writes to port 0x%x, which has no device", port);
}

int guest_report_take(struct guest_report *r, unsigned vcpu, uint16_t port,
                      const uint64_t words[static GUEST_MESSAGE_WORDS], struct error *err)
{
    pthread_mutex_lock(&r->lock);
    int rc = take(r, &r->voices[vcpu], port, words, err);
    pthread_cond_broadcast(&r->news);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

void guest_report_fail(struct guest_report *r, const struct error *err)
{
    pthread_mutex_lock(&r->lock);
    if (!r->failed && !r->ended)
        r->failure = *err;
    r->failed = r->failed || !r->ended;
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

/* What a caller waits for. */
struct awaited {
    uint64_t heartbeats, sweeps; /* of every vCPU */
    uint64_t errors;
};

static bool has_said(const struct guest_report *r, const struct awaited *what)
{
    for (unsigned i = 0; i < r->n_vcpus; i++) {
        if (r->voices[i].said.heartbeats < what->heartbeats || r->voices[i].sweeps < what->sweeps)
            return false;
    }
    return r->errors >= what->errors;
}

static bool is_over(const struct guest_report *r)
{
    return r->failed || r->ended || r->interrupted;
}

static bool await(struct guest_report *r, const struct awaited *what, uint64_t deadline)
{
    struct timespec until = deadline_timespec(deadline);
    bool said;

    pthread_mutex_lock(&r->lock);
    while (!(said = has_said(r, what)) && !is_over(r)) {
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

bool guest_report_wait(struct guest_report *r, uint64_t heartbeats, uint64_t errors,
                       uint64_t deadline)
{
    return await(r, &(struct awaited){.heartbeats = heartbeats, .errors = errors}, deadline);
}

bool guest_report_wait_swept(struct guest_report *r, uint64_t sweeps, uint64_t deadline)
{
    return await(r, &(struct awaited){.sweeps = sweeps}, deadline);
}

static bool is_any_moved(const struct guest_report *r)
{
    for (unsigned i = 0; i < r->n_vcpus; i++) {
        if (r->voices[i].moved)
            return true;
    }
    return false;
}

void guest_report_verdict(struct guest_report *r, struct guest_verdict *ret)
{
    pthread_mutex_lock(&r->lock);
    *ret = (struct guest_verdict){
        .longest_gap_us = r->longest_gap_us,
        .last_move_gap_us = is_any_moved(r) ? 0 : r->last_move_gap_us,
        .moves = r->moves,
        .sweeps = r->n_vcpus ? UINT64_MAX : 0,
        .errors = r->errors,
        .shared = r->shared,
    };
    memcpy(ret->facts, r->facts, sizeof(ret->facts));
    for (unsigned i = 0; i < r->n_vcpus; i++) {
        ret->heartbeats += r->voices[i].said.heartbeats;
        ret->pages_verified += r->voices[i].said.verified;
        ret->pages_written += r->voices[i].said.written;
        ret->sweeps = MIN(ret->sweeps, r->voices[i].sweeps);
    }
    pthread_mutex_unlock(&r->lock);
}

size_t guest_report_wrong(struct guest_report *r, struct guest_wrong_page ret[GUEST_WRONG_KEPT])
{
    pthread_mutex_lock(&r->lock);
    size_t n = r->n_wrong;
    memcpy(ret, r->wrong, n * sizeof(*ret));
    pthread_mutex_unlock(&r->lock);
    return n;
}

static const char *const state_names[GUEST_STATE_COUNT] = {
    "page",
    "general register",
    "part of a vector register",
    "mask register",
    "MXCSR",
    "timer interrupts",
    "TSC",
    "ledger",
};

void guest_report_describe(const struct guest_wrong_page *wrong, char *ret, size_t len)
{
    snprintf(ret, len,
             "%s %" PRIu64 ": found 0x%016" PRIx64 ", expected 0x%016" PRIx64 " (vCPU %u)",
             state_names[wrong->state], wrong->page, wrong->found, wrong->expected, wrong->vcpu);
}

bool guest_report_ended(struct guest_report *r, uint64_t *ret_code)
{
    pthread_mutex_lock(&r->lock);
    bool ended = r->ended;
    if (ended)
        *ret_code = r->exit_code;
    pthread_mutex_unlock(&r->lock);
    return ended;
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

/* --- when it moves --------------------------------------------------------------------------- */

void guest_report_get_state(struct guest_report *r, struct guest_report_state *ret)
{
    pthread_mutex_lock(&r->lock);
    *ret = (struct guest_report_state){
        .n_vcpus = r->n_vcpus,
        .shared = r->shared,
        .longest_gap_us = r->longest_gap_us,
        .moves = r->moves,
        .errors = r->errors,
        .ended = r->ended,
        .exit_code = r->exit_code,
    };
    memcpy(ret->facts, r->facts, sizeof(ret->facts));
    for (unsigned i = 0; i < r->n_vcpus; i++)
        ret->voices[i] = r->voices[i].said;
    pthread_mutex_unlock(&r->lock);
}

static int check_voice(const struct guest_voice_state *v, struct error *err)
{
    if (v->heartbeats > COUNT_MAX || v->verified > COUNT_MAX || v->written > COUNT_MAX)
        return err_set(err, ERR_PEER,
                       "%" PRIu64 " heartbeats, %" PRIu64 " pages verified, %" PRIu64 " written",
                       v->heartbeats, v->verified, v->written);
    if (v->heartbeats == 0 && (v->tsc || v->verified || v->written))
        return err_set(err, ERR_PEER, "no heartbeat, but a TSC or pages");
    return 0;
}

static int check_state(const struct guest_report *r, const struct guest_report_state *state,
                       struct error *err)
{
    if (state->n_vcpus != r->n_vcpus)
        return err_set(err, ERR_PEER, "of %" PRIu64 " vCPUs, expected %u", state->n_vcpus,
                       r->n_vcpus);
    if (state->shared > 1 || state->ended > 1)
        return err_set(err, ERR_PEER, "shared is %" PRIu64 ", ended is %" PRIu64, state->shared,
                       state->ended);
    if (state->errors > COUNT_MAX || state->moves > COUNT_MAX)
        return err_set(err, ERR_PEER, "%" PRIu64 " errors, %" PRIu64 " moves", state->errors,
                       state->moves);
    for (unsigned i = 0; i < r->n_vcpus; i++) {
        if (check_voice(&state->voices[i], err) < 0)
            return err_in(err, "vCPU %u", i);
    }
    return 0;
}

int guest_report_set_state(struct guest_report *r, const struct guest_report_state *state,
                           struct error *err)
{
    if (check_state(r, state, err) < 0)
        return err_in(err, "the guest's report");
    pthread_mutex_lock(&r->lock);
    if (state->shared)
        guest_report_share(r);
    r->longest_gap_us = state->longest_gap_us;
    r->last_move_gap_us = 0;
    r->moves = state->moves + 1;
    r->errors = state->errors;
    r->ended = state->ended;
    r->exit_code = state->exit_code;
    memcpy(r->facts, state->facts, sizeof(r->facts));
    for (unsigned i = 0; i < r->n_vcpus; i++) {
        r->voices[i].said = state->voices[i];
        r->voices[i].moved = true;
        r->voices[i].sweeps = 0;
    }
    pthread_cond_broadcast(&r->news);
    pthread_mutex_unlock(&r->lock);
    return 0;
}
