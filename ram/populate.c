#include "ram/populate.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/thread.h"

#define CHUNK        (UINT64_C(2) << 20) /* bytes: a huge page */
#define AHEAD_CHUNKS 24                  /* how far ahead of the arriving pages */
#define THREADS_MAX  16

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct block_front {
    _Atomic uint64_t wanted; /* chunks below this number should be populated */
    _Atomic uint64_t next;   /* the first chunk that no helper has claimed */
};

struct populate {
    const struct ram_map *map;
    struct block_front *fronts; /* one per block */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    uint64_t wakes; /* under lock: a counter, so that no helper misses a wake-up */
    bool stop;      /* under lock */
    unsigned n_threads;
    struct thread threads[THREADS_MAX];
};

static void populate_chunk(const struct ram_block *b, uint64_t chunk)
{
    uint64_t at = chunk * CHUNK;

    /* If this fails, the page is faulted in on arrival, or the failure is reported there. */
    if (at < b->used_bytes)
        madvise(b->host + at, MIN(CHUNK, b->used_bytes - at), MADV_POPULATE_WRITE);
}

/* Claims one chunk of any block; false when all wanted chunks are claimed. */
static bool claim_chunk(struct populate *p, const struct ram_block **ret, uint64_t *ret_chunk)
{
    for (size_t i = 0; i < p->map->n; i++) {
        struct block_front *f = &p->fronts[i];
        uint64_t chunk = atomic_load(&f->next);

        while (chunk < atomic_load(&f->wanted)) {
            if (!atomic_compare_exchange_weak(&f->next, &chunk, chunk + 1))
                continue; /* another thread was faster; `chunk` is now the present value */
            *ret = &p->map->blocks[i];
            *ret_chunk = chunk;
            return true;
        }
    }
    return false;
}

static bool wait_for_work(struct populate *p, uint64_t *seen)
{
    pthread_mutex_lock(&p->lock);
    while (p->wakes == *seen && !p->stop)
        pthread_cond_wait(&p->wake, &p->lock);
    *seen = p->wakes;
    bool go = !p->stop;
    pthread_mutex_unlock(&p->lock);
    return go;
}

static void *populate_main(void *arg)
{
    struct populate *p = arg;
    const struct ram_block *b;
    uint64_t chunk, seen = 0;

    while (wait_for_work(p, &seen)) {
        while (claim_chunk(p, &b, &chunk))
            populate_chunk(b, chunk);
    }
    return NULL;
}

/* Is there memory to populate? A capture into files has none. */
static bool has_memory(const struct ram_map *map)
{
    for (size_t i = 0; i < map->n; i++) {
        if (map->blocks[i].host)
            return true;
    }
    return false;
}

int populate_new(const struct ram_map *map, unsigned n_threads, struct populate **ret,
                 struct error *err)
{
    struct populate *p = calloc(1, sizeof(*p));
    int rc = 0;

    if (!p)
        return err_sys(err, "memory for populate");
    if (!has_memory(map))
        n_threads = 0;
    p->map = map;
    p->fronts = calloc(MAX(map->n, (size_t)1), sizeof(*p->fronts));
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (; p->fronts && p->n_threads < MIN(n_threads, (unsigned)THREADS_MAX); p->n_threads++) {
        rc = thread_start(&p->threads[p->n_threads], populate_main, p, err, "populate-%u",
                          p->n_threads);
        if (rc < 0)
            break; /* fewer threads are enough */
    }
    if (!p->fronts)
        rc = err_sys(err, "memory for populate");
    if (!p->fronts || (n_threads > 0 && p->n_threads == 0)) {
        populate_free(p);
        return rc;
    }
    *ret = p;
    return 0;
}

void populate_free(struct populate *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++)
        thread_join(&p->threads[i]);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->fronts);
    free(p);
}

static void wake(struct populate *p)
{
    pthread_mutex_lock(&p->lock);
    p->wakes++;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

void populate_ahead(struct populate *p, const struct ram_block *b, uint64_t offset)
{
    if (!p || p->n_threads == 0)
        return;
    struct block_front *f = &p->fronts[b - p->map->blocks];
    uint64_t here = offset / CHUNK, want = here + AHEAD_CHUNKS;
    uint64_t before = atomic_load_explicit(&f->wanted, memory_order_relaxed);

    /* More than half of the lead is left: a wake-up is not worth it. */
    if (want < before + AHEAD_CHUNKS / 2)
        return;
    /* Chunks that the source has skipped need no memory: start where the pages are. */
    uint64_t next = atomic_load(&f->next);
    while (next < here + 1 && !atomic_compare_exchange_weak(&f->next, &next, here + 1))
        ;
    while (before < want && !atomic_compare_exchange_weak(&f->wanted, &before, want))
        ;
    wake(p);
}
