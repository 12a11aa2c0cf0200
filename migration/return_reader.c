#include "migration/return_reader.h"

#include <errno.h>

#include "base/clock.h"
#include "stream/return_path.h"

/*
 * A QEMU says 1 for every error, and 1 is also EPERM's number. Others may send the negated result
 * of a system call, or anything.
 */
static int bad_verdict(const struct return_reader *a, uint32_t verdict, struct error *err)
{
    char reason[ERR_REASON_LEN] = "it does not say why";

    if (a->measures && verdict == ECANCELED)
        return err_set(err, ERR_CANCELLED, RETURN_READER_MEASURED);
    if (verdict != 1)
        err_name((int)verdict, reason);
    return err_set(err, ERR_PEER, "the destination has failed: %s (SHUT %u); see its own message",
                   reason, verdict);
}

/* --- the reader ------------------------------------------------------------------------------ */

/* The number of the n-th PING. */
static uint32_t ping_number(uint32_t n)
{
    return n == 1 ? SWITCHOVER_OFFER : n == 2 ? MEASURE_OFFER : n;
}

/* Under the lock. The destination answers every PING, in order, by its number. */
static int take_pong(struct return_reader *a, uint32_t value, struct error *err)
{
    uint32_t expected = ping_number(a->pongs + 1);
    bool accepts = expected == SWITCHOVER_OFFER && value == SWITCHOVER_ACCEPTED;

    bool measures = expected == MEASURE_OFFER && value == MEASURE_ONLY;

    if (a->pongs == a->pings)
        return err_set(err, ERR_PEER, "return path: PONG %u without a PING", value);
    if (value != expected && !accepts && !measures)
        return err_set(err, ERR_PEER, "return path: PONG %u, expected %u", value, expected);
    a->confirms |= accepts;
    a->measures |= measures;
    a->pongs++;
    return 0;
}

static int unasked(enum return_message type, struct error *err)
{
    return err_set(err, ERR_PEER, "return path: %s: nothing asked for it",
                   return_message_name(type));
}

/* Under the lock. */
static int take(struct return_reader *a, const struct return_path_message *msg, struct error *err)
{
    a->heard_ns = clock_ns();
    switch (msg->type) {
    case RETURN_PONG:
        return take_pong(a, msg->value, err);
    case RETURN_SWITCHOVER_ACK:
        a->acked = true;
        return 0;
    case RETURN_SWITCHOVER_READY:
    case RETURN_SWITCHOVER_ALIVE:
        a->ready |= msg->type == RETURN_SWITCHOVER_READY;
        return a->confirms ? 0 : unasked(msg->type, err);
    case RETURN_SHUT:
        a->known = true;
        a->verdict = msg->value;
        return a->verdict ? bad_verdict(a, a->verdict, err) : 0;
    default:
        return 0; /* an acknowledgement that means nothing here */
    }
}

static int read_all(struct return_reader *a, struct stream_in *in, struct error *err)
{
    struct return_path_message msg;
    int rc;

    do {
        if (return_path_recv(in, &msg, err) < 0)
            return -1;
        pthread_mutex_lock(&a->group->lock);
        rc = take(a, &msg, err);
        pthread_cond_broadcast(&a->group->changed);
        pthread_mutex_unlock(&a->group->lock);
    } while (rc == 0 && msg.type != RETURN_SHUT);
    return rc;
}

static void *return_reader_main(void *arg)
{
    struct return_reader *a = arg;
    struct stream_in in;
    struct error err;

    if (stream_in_init(&in, a->main, &err) < 0 || read_all(a, &in, &err) < 0)
        channel_group_fail(a->group, &err);
    stream_in_done(&in);
    return NULL;
}

int return_reader_start(struct return_reader *a, struct channel_group *group, struct channel *main,
                        const struct return_reader_limits *limits, struct error *err)
{
    a->group = group;
    a->main = main;
    a->limits = *limits;
    return thread_start(&a->thread, return_reader_main, a, err, "return-path");
}

void return_reader_end(struct return_reader *a)
{
    thread_join(&a->thread);
}

bool return_reader_failed(const struct return_reader *a, struct error *err)
{
    if (!a->known || a->verdict == 0)
        return false;
    bad_verdict(a, a->verdict, err);
    return true;
}

/* --- waiting ---------------------------------------------------------------------------------- */

uint32_t return_reader_ping(struct return_reader *a)
{
    pthread_mutex_lock(&a->group->lock);
    uint32_t number = ping_number(++a->pings);
    pthread_mutex_unlock(&a->group->lock);
    return number;
}

/* What a thread waits for, and since when. Under the lock. */
struct wait {
    const char *what; /* what the destination has not done: "has not …" */
    bool (*done)(const struct return_reader *a);
    const bool *hurry; /* NULL: this wait is never hurried */
    uint64_t since_ns, hurried_ns;
};

static uint64_t after_ms(uint64_t since_ns, uint64_t ms)
{
    return since_ns == 0 || ms == 0 ? DEADLINE_NEVER : since_ns + ms * NS_PER_MS;
}

/* Returns the first of the limits that will be reached; *ret_err says which one it is. */
static uint64_t next_limit(const struct return_reader *a, struct wait *w, struct error *ret_err)
{
    const struct return_reader_limits *l = &a->limits;
    uint64_t heard = a->confirms ? MAX(a->heard_ns, w->since_ns) : 0;
    if (heard > 0 && channel_path_lost(a->main))
        heard = clock_ns(); /* the path is down: main's reader ends an outage that is too long */
    uint64_t answer = after_ms(w->since_ns, l->answer_ms), silence = after_ms(heard, l->silence_ms);

    if (w->hurry && *w->hurry && w->hurried_ns == 0)
        w->hurried_ns = clock_ns();
    uint64_t hurry = after_ms(w->hurried_ns, l->hurry_ms);
    if (hurry <= answer && hurry <= silence)
        err_set(ret_err, ERR_PEER, "cancelled too late: the destination has everything, and %s",
                w->what);
    else if (silence <= answer)
        err_set_with(ret_err, ERR_PEER, REMEDY_STALL_TIMEOUT,
                     "the destination %s, and has sent nothing for %.1f s", w->what,
                     (double)l->silence_ms / 1000);
    else
        err_set_with(ret_err, ERR_PEER, REMEDY_ANSWER_TIMEOUT, "the destination %s for %.1f s",
                     w->what, (double)l->answer_ms / 1000);
    return MIN(hurry, MIN(answer, silence));
}

/* Waits until it is done, SHUT has come, or the group has failed; returns 0 in all three cases. */
static int await(struct return_reader *a, struct wait *w, struct error *err)
{
    struct error limit;

    w->since_ns = clock_ns();
    while (!w->done(a) && !a->known && !a->group->failed) {
        uint64_t deadline = next_limit(a, w, &limit);

        if (!channel_group_wait(a->group, deadline) && clock_ns() >= next_limit(a, w, &limit)) {
            *err = limit;
            return -1;
        }
    }
    return 0;
}

/* Under the lock. Fails where the group has failed, or SHUT has come before its time. */
static int check_going_on(const struct return_reader *a, struct error *err)
{
    if (a->group->failed) {
        *err = a->group->err;
        return -1;
    }
    if (a->known && a->verdict)
        return bad_verdict(a, a->verdict, err);
    return a->known ? err_set(err, ERR_PEER, "return path: SHUT 0 before the stream's end") : 0;
}

static int await_going_on(struct return_reader *a, const char *what,
                          bool (*done)(const struct return_reader *a), struct error *err)
{
    struct wait w = {.what = what, .done = done};

    pthread_mutex_lock(&a->group->lock);
    int rc = await(a, &w, err) < 0 ? -1 : check_going_on(a, err);
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}

static bool is_answered(const struct return_reader *a)
{
    return a->pongs == a->pings;
}

int return_reader_await_pong(struct return_reader *a, struct error *err)
{
    return await_going_on(a, "has not answered a PING", is_answered, err);
}

static bool is_ready(const struct return_reader *a)
{
    return a->ready;
}

int return_reader_await_ready(struct return_reader *a, struct error *err)
{
    return await_going_on(a, "has not reported that it is ready", is_ready, err);
}

int return_reader_await_ack(struct return_reader *a, uint64_t deadline, struct error *err)
{
    struct channel_group *g = a->group;
    bool in_time = true;

    pthread_mutex_lock(&g->lock);
    while (!a->acked && !a->known && !g->failed && in_time)
        in_time = channel_group_wait(g, deadline);
    int rc = check_going_on(a, err);
    pthread_mutex_unlock(&g->lock);
    return rc;
}

bool return_reader_acked(struct return_reader *a)
{
    pthread_mutex_lock(&a->group->lock);
    bool acked = a->acked;
    pthread_mutex_unlock(&a->group->lock);
    return acked;
}

bool return_reader_confirm(struct return_reader *a)
{
    pthread_mutex_lock(&a->group->lock);
    bool confirms = a->confirms;
    pthread_mutex_unlock(&a->group->lock);
    return confirms;
}

bool return_reader_measures(struct return_reader *a)
{
    pthread_mutex_lock(&a->group->lock);
    bool measures = a->measures;
    pthread_mutex_unlock(&a->group->lock);
    return measures;
}

static bool is_known(const struct return_reader *a)
{
    return a->known;
}

/* A verdict counts, even where something else has failed. */
int return_reader_await_verdict(struct return_reader *a, const bool *hurry, struct error *err)
{
    struct wait w = {.what = "has given no verdict", .done = is_known, .hurry = hurry};

    pthread_mutex_lock(&a->group->lock);
    int rc = await(a, &w, err);
    if (rc == 0 && a->known) {
        rc = a->verdict ? bad_verdict(a, a->verdict, err) : 0;
    } else if (rc == 0) {
        *err = a->group->err;
        rc = -1;
    }
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}
