#include "vmm/vcpu_throttle.h"

#include "base/clock.h"
#include "base/macros.h"

/* As in QEMU, the time for which a throttled vCPU runs: short next to a round, long next to a kick.
 */
#define SLICE_NS (10 * NS_PER_MS)

void vcpu_throttle_init(struct vcpu_throttle *b, void (*pause)(void *arg, bool on), void *arg)
{
    *b = (struct vcpu_throttle){.pause = pause, .arg = arg};
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
}

/* With the lock held: sleeps for `ns`, or until the percentage changes. */
static void sleep_ns(struct vcpu_throttle *b, uint64_t ns)
{
    uint64_t deadline = clock_ns() + ns;
    struct timespec until = deadline_timespec(deadline);

    while (b->percent && !b->end && clock_ns() < deadline)
        pthread_cond_clockwait(&b->changed, &b->lock, CLOCK_MONOTONIC, &until);
}

/* pause() may wait for vCPUs with the lock held: their threads never take this lock. */
static void one_slice(struct vcpu_throttle *b)
{
    sleep_ns(b, SLICE_NS);
    if (!b->percent || b->end)
        return;
    b->pause(b->arg, true);
    sleep_ns(b, SLICE_NS * b->percent / (100 - b->percent));
    b->pause(b->arg, false);
}

static void *throttle_main(void *arg)
{
    struct vcpu_throttle *b = arg;

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

void vcpu_throttle_set(struct vcpu_throttle *b, unsigned percent)
{
    struct error ignored; /* if there is no thread the guest is not slowed */

    pthread_mutex_lock(&b->lock);
    b->percent = MIN(percent, (unsigned)VCPU_THROTTLE_PERCENT_MAX);
    if (percent && !b->thread.running)
        (void)!thread_start(&b->thread, throttle_main, b, &ignored, "throttle");
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

void vcpu_throttle_done(struct vcpu_throttle *b)
{
    pthread_mutex_lock(&b->lock);
    b->end = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    thread_join(&b->thread);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
}
