#include "tests/support/held_source.h"

#include "base/macros.h"

static struct held_source *held_of(struct dirty_source *s)
{
    return CONTAINER_OF(s, struct held_source, base);
}

static void pass(struct held_source *h, enum held_at at)
{
    pthread_mutex_lock(&h->lock);
    while (h->at == at) {
        h->held = at;
        pthread_cond_broadcast(&h->changed);
        pthread_cond_wait(&h->changed, &h->lock);
    }
    h->held = HELD_NOWHERE;
    pthread_mutex_unlock(&h->lock);
}

static int held_start(struct dirty_source *s, struct error *err)
{
    struct held_source *h = held_of(s);

    if (h->started)
        h->started(h->arg);
    pass(h, HELD_AT_START);
    return h->inner ? h->inner->ops->start(h->inner, err) : 0;
}

static int held_sync(struct dirty_source *s, struct dirty_bitmap *bitmaps, uint64_t *ret_pages,
                     struct error *err)
{
    struct held_source *h = held_of(s);

    *ret_pages = 0;
    return h->inner ? h->inner->ops->sync(h->inner, bitmaps, ret_pages, err) : 0;
}

static void held_stop(struct dirty_source *s)
{
    struct held_source *h = held_of(s);

    pass(h, HELD_AT_STOP);
    if (h->inner)
        h->inner->ops->stop(h->inner);
    pthread_mutex_lock(&h->lock);
    h->n_stopped++;
    pthread_mutex_unlock(&h->lock);
}

static const struct dirty_source_ops held_ops = {
    .start = held_start,
    .sync = held_sync,
    .stop = held_stop,
};

void held_source_init(struct held_source *h, struct dirty_source *inner)
{
    *h = (struct held_source){.base.ops = &held_ops, .inner = inner};
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
}

void held_source_done(struct held_source *h)
{
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
}

void held_source_hold(struct held_source *h, enum held_at at)
{
    pthread_mutex_lock(&h->lock);
    h->at = at;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

void held_source_await(struct held_source *h, enum held_at at)
{
    pthread_mutex_lock(&h->lock);
    while (h->held != at)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

unsigned held_source_stopped(struct held_source *h)
{
    pthread_mutex_lock(&h->lock);
    unsigned n = h->n_stopped;
    pthread_mutex_unlock(&h->lock);
    return n;
}
