#include "vmm/synth_vcpu.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"

enum order { ORDER_PAUSE, ORDER_RUN, ORDER_END };

struct synth_vcpu {
    /* Set before the thread starts, read-only after. */
    unsigned index;
    const struct synth_vcpu_client *client;
    struct thread thread;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum order order;
    bool still; /* between two steps, and waits for the next order */
};

/* Waits until the vCPU may run; false when it has to end. */
static bool next_order(struct synth_vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    while (v->order == ORDER_PAUSE) {
        v->still = true;
        pthread_cond_broadcast(&v->changed);
        pthread_cond_wait(&v->changed, &v->lock);
    }
    v->still = false;
    bool go = v->order == ORDER_RUN;
    pthread_mutex_unlock(&v->lock);
    return go;
}

static void *vcpu_main(void *arg)
{
    struct synth_vcpu *v = arg;
    struct error err;

    while (next_order(v)) {
        if (v->client->step(v->client->arg, v->index, &err) < 0) {
            err_in(&err, "guest, vCPU %u", v->index);
            v->client->failed(v->client->arg, v->index, &err);
            break;
        }
    }
    pthread_mutex_lock(&v->lock);
    v->order = ORDER_END;
    v->still = true;
    pthread_cond_broadcast(&v->changed);
    pthread_mutex_unlock(&v->lock);
    return NULL;
}

static void give_order(struct synth_vcpu *v, enum order order)
{
    pthread_mutex_lock(&v->lock);
    if (v->order != ORDER_END)
        v->order = order;
    if (v->order == ORDER_RUN)
        v->still = false;
    pthread_cond_broadcast(&v->changed);
    pthread_mutex_unlock(&v->lock);
}

void synth_vcpu_resume(struct synth_vcpu *v)
{
    give_order(v, ORDER_RUN);
}

void synth_vcpu_kick(struct synth_vcpu *v)
{
    give_order(v, ORDER_PAUSE);
}

void synth_vcpu_wait(struct synth_vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    while (!v->still)
        pthread_cond_wait(&v->changed, &v->lock);
    pthread_mutex_unlock(&v->lock);
}

void synth_vcpu_sleep(struct synth_vcpu *v, uint64_t ns)
{
    uint64_t deadline = clock_ns() + ns;
    struct timespec until = deadline_timespec(deadline);

    pthread_mutex_lock(&v->lock);
    while (v->order == ORDER_RUN && clock_ns() < deadline)
        pthread_cond_clockwait(&v->changed, &v->lock, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&v->lock);
}

int synth_vcpu_new(unsigned index, const struct synth_vcpu_client *client, struct synth_vcpu **ret,
                   struct error *err)
{
    struct synth_vcpu *v = calloc(1, sizeof(*v));

    if (!v)
        return err_sys(err, "memory for a vCPU");
    v->index = index;
    v->client = client;
    v->still = true;
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->changed, NULL);
    if (thread_start(&v->thread, vcpu_main, v, err, "vcpu-%u", index) < 0) {
        synth_vcpu_free(v);
        return -1;
    }
    *ret = v;
    return 0;
}

void synth_vcpu_free(struct synth_vcpu *v)
{
    if (!v)
        return;
    give_order(v, ORDER_END);
    thread_join(&v->thread);
    pthread_cond_destroy(&v->changed);
    pthread_mutex_destroy(&v->lock);
    free(v);
}
