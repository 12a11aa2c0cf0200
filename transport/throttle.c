#include "transport/throttle.h"

#include "base/clock.h"
#include "base/macros.h"

/* What a sender that was kept from sending, by the scheduler or the peer, may make up for; longer
 * would show as a burst above the rate. */
#define CREDIT_NS (100 * NS_PER_MS)

void throttle_init(struct throttle *t, uint64_t bytes_per_s)
{
    *t = (struct throttle){.bytes_per_s = bytes_per_s};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->stop_cond, NULL);
}

void throttle_done(struct throttle *t)
{
    pthread_cond_destroy(&t->stop_cond);
    pthread_mutex_destroy(&t->lock);
}

void throttle_take(struct throttle *t, uint64_t bytes)
{
    if (t->bytes_per_s == 0)
        return;
    pthread_mutex_lock(&t->lock);
    uint64_t now = clock_ns();
    uint64_t start = t->free_at_ns ? MAX(t->free_at_ns, now - CREDIT_NS) : now;
    t->free_at_ns = start + (uint64_t)((double)bytes * (double)NS_PER_S / (double)t->bytes_per_s);
    struct timespec until = deadline_timespec(start);
    while (!t->stopped && clock_ns() < start)
        pthread_cond_clockwait(&t->stop_cond, &t->lock, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&t->lock);
}

void throttle_stop(struct throttle *t)
{
    pthread_mutex_lock(&t->lock);
    t->stopped = true;
    pthread_cond_broadcast(&t->stop_cond);
    pthread_mutex_unlock(&t->lock);
}
