#include "transport/rate_limit.h"

#include "base/clock.h"
#include "base/macros.h"

/* How much time a sender may catch up on after the scheduler or the peer kept it from sending. More
 * would show as a burst above the rate. */
#define CREDIT_NS (100 * NS_PER_MS)

void rate_limit_init(struct rate_limit *t, uint64_t bytes_per_s)
{
    *t = (struct rate_limit){.bytes_per_s = bytes_per_s};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
}

void rate_limit_done(struct rate_limit *t)
{
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
}

/* --- under the lock -------------------------------------------------------------------------- */

/* When the queue up to byte `at` is sent, at the present rate. Only if there is a limit. */
static uint64_t time_of(const struct rate_limit *t, uint64_t at)
{
    if (at <= t->since_at)
        return t->since_ns;
    return t->since_ns +
           (uint64_t)((double)(at - t->since_at) * (double)NS_PER_S / (double)t->bytes_per_s);
}

/* How many bytes of the queue have been sent by now. */
static uint64_t sent_by(const struct rate_limit *t, uint64_t now)
{
    double sent = (double)(now - t->since_ns) * (double)t->bytes_per_s / (double)NS_PER_S;

    return sent < (double)(t->reserved - t->since_at) ? t->since_at + (uint64_t)sent : t->reserved;
}

/* After a pause in sending, the count starts anew, with a little credit. */
static void forget_the_past(struct rate_limit *t, uint64_t now)
{
    uint64_t earliest = t->since_ns ? now - CREDIT_NS : now;

    if (time_of(t, t->reserved) < earliest) {
        t->since_ns = earliest;
        t->since_at = t->reserved;
    }
}

/* --- any thread ------------------------------------------------------------------------------ */

void rate_limit_set_rate(struct rate_limit *t, uint64_t bytes_per_s)
{
    pthread_mutex_lock(&t->lock);
    if (t->bytes_per_s != bytes_per_s) {
        uint64_t now = clock_ns();

        t->since_at = t->bytes_per_s ? sent_by(t, now) : t->reserved;
        t->since_ns = now;
        t->bytes_per_s = bytes_per_s;
        pthread_cond_broadcast(&t->changed);
    }
    pthread_mutex_unlock(&t->lock);
}

void rate_limit_take(struct rate_limit *t, uint64_t bytes)
{
    if (t->bytes_per_s == 0)
        return;
    pthread_mutex_lock(&t->lock);
    if (t->bytes_per_s)
        forget_the_past(t, clock_ns());
    uint64_t mine = t->reserved;
    t->reserved += bytes;
    while (!t->stopped && t->bytes_per_s && clock_ns() < time_of(t, mine)) {
        struct timespec until = deadline_timespec(time_of(t, mine));

        pthread_cond_clockwait(&t->changed, &t->lock, CLOCK_MONOTONIC, &until);
    }
    pthread_mutex_unlock(&t->lock);
}

void rate_limit_stop(struct rate_limit *t)
{
    pthread_mutex_lock(&t->lock);
    t->stopped = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}
