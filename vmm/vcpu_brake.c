#include "vmm/vcpu_brake.h"

#include <signal.h>

#include "base/clock.h"
#include "base/macros.h"

/* As long as QEMU lets a throttled vCPU run: short against a round, long against a kick. */
#define SLICE_NS (10 * NS_PER_MS)

void vcpu_brake_init(struct vcpu_brake *b, void (*hold)(void *arg, bool on), void *arg)
{
    *b = (struct vcpu_brake){.hold = hold, .arg = arg};
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
}

/* With the lock held: sleeps, unless the brake is let go meanwhile. */
static void sleep_ns(struct vcpu_brake *b, uint64_t ns)
{
    uint64_t deadline = clock_ns() + ns;
    struct timespec until = deadline_timespec(deadline);

    while (b->percent && !b->end && clock_ns() < deadline)
        pthread_cond_clockwait(&b->changed, &b->lock, CLOCK_MONOTONIC, &until);
}

/* Holding waits for vCPUs, whose threads know nothing of this lock. */
static void one_slice(struct vcpu_brake *b)
{
    sleep_ns(b, SLICE_NS);
    if (!b->percent || b->end)
        return;
    b->hold(b->arg, true);
    sleep_ns(b, SLICE_NS * b->percent / (100 - b->percent));
    b->hold(b->arg, false);
}

static void *brake_main(void *arg)
{
    struct vcpu_brake *b = arg;

    pthread_mutex_lock(&b->lock);
    while (!b->end) {
        if (b->percent)
            one_slice(b);
        else
            pthread_cond_wait(&b->changed, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* The program's signals are for the program's threads. Without a thread nothing is slowed. */
static void start_thread(struct vcpu_brake *b)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    b->has_thread = pthread_create(&b->thread, NULL, brake_main, b) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void vcpu_brake_set(struct vcpu_brake *b, unsigned percent)
{
    pthread_mutex_lock(&b->lock);
    b->percent = MIN(percent, (unsigned)BRAKE_PERCENT_MAX);
    if (percent && !b->has_thread)
        start_thread(b);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

void vcpu_brake_done(struct vcpu_brake *b)
{
    pthread_mutex_lock(&b->lock);
    b->end = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    if (b->has_thread)
        pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
}
