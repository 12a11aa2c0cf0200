#include "tests/support/dirty_trial.h"

#include <inttypes.h>
#include <pthread.h>
#include <sys/mman.h>

#include "ram/resident.h"
#include "tests/support/test.h"

/* The writers write while the trial copies: that is what it tests, and no race to report. */
#define GUEST __attribute__((no_sanitize("thread", "address")))

/* --- the trial ------------------------------------------------------------------------------- */

struct dirty_bitmap *dirty_trial_bitmaps(const struct ram_map *map)
{
    struct dirty_bitmap *all = calloc(map->n, sizeof(*all));
    struct error err;

    CHECK(all, "memory");
    for (size_t i = 0; i < map->n; i++)
        OK(dirty_bitmap_init(&all[i], ram_block_pages(&map->blocks[i]), &err), err, "bitmap");
    return all;
}

void dirty_trial_bitmaps_free(const struct ram_map *map, struct dirty_bitmap *bitmaps)
{
    for (size_t i = 0; i < map->n; i++)
        dirty_bitmap_done(&bitmaps[i]);
    free(bitmaps);
}

GUEST static void copy_page(uint8_t *to, const uint8_t *from)
{
    volatile uint64_t *out = (volatile uint64_t *)to;
    const volatile uint64_t *in = (const volatile uint64_t *)from;

    for (size_t i = 0; i < RAM_PAGE_SIZE / sizeof(*in); i++)
        out[i] = in[i];
}

/* As a channel thread does with a stripe: takes the bits, rearms, then reads. */
static uint64_t copy_dirty(const struct dirty_trial *t, size_t block, struct dirty_bitmap *d,
                           uint8_t *copy)
{
    uint64_t pages = 0;
    struct error err;

    for (uint64_t w = 0; w < dirty_bitmap_words(d); w++) {
        uint64_t bits = dirty_bitmap_take(d, w);

        if (bits && t->source->ops->rearm)
            OK(t->source->ops->rearm(t->source, block, w * 64, MIN(64, d->n_pages - w * 64), &bits,
                                     &err),
               err, t->label);
        for (; bits; bits &= bits - 1, pages++) {
            uint64_t at = (w * 64 + (uint64_t)__builtin_ctzll(bits)) << RAM_PAGE_BITS;

            copy_page(copy + at, t->map->blocks[block].host + at);
        }
    }
    return pages;
}

/* Not memcmp(): a sanitizer watches it, and its records of gigabytes would take many gigabytes. */
GUEST static bool is_same(const uint8_t *a, const uint8_t *b)
{
    const volatile uint64_t *x = (const volatile uint64_t *)a, *y = (const volatile uint64_t *)b;
    size_t i = 0;

    while (i < RAM_PAGE_SIZE / sizeof(*x) && x[i] == y[i])
        i++;
    return i == RAM_PAGE_SIZE / sizeof(*x);
}

/* Compares only pages that exist: a page that was never touched was not written and not copied. */
static void check_copy(const struct dirty_trial *t, const struct ram_block *b, const uint8_t *copy)
{
    struct dirty_bitmap exist;
    struct error err;

    OK(dirty_bitmap_init(&exist, ram_block_pages(b), &err), err, "bitmap");
    OK(ram_resident(b, &exist, &err), err, t->label);
    for (uint64_t w = 0; w < dirty_bitmap_words(&exist); w++) {
        for (uint64_t bits = dirty_bitmap_take(&exist, w); bits; bits &= bits - 1) {
            uint64_t page = w * 64 + (uint64_t)__builtin_ctzll(bits);

            CHECK(is_same(b->host + page * RAM_PAGE_SIZE, copy + page * RAM_PAGE_SIZE),
                  "%s: block %s: page %" PRIu64 " was lost", t->label, b->name, page);
        }
    }
    dirty_bitmap_done(&exist);
}

uint64_t dirty_trial_sync(struct dirty_source *s, const struct ram_map *map,
                          struct dirty_bitmap *bitmaps)
{
    uint64_t fresh, before = 0, after = 0;
    struct error err;

    for (size_t i = 0; i < map->n; i++)
        before += dirty_bitmap_count(&bitmaps[i]);
    OK(s->ops->sync(s, bitmaps, &fresh, &err), err, "sync");
    for (size_t i = 0; i < map->n; i++)
        after += dirty_bitmap_count(&bitmaps[i]);
    CHECK(after - before == fresh, "%" PRIu64 " new pages, and it said %" PRIu64, after - before,
          fresh);
    return fresh;
}

static uint64_t copy_all(const struct dirty_trial *t, struct dirty_bitmap *bitmaps, uint8_t **copy)
{
    uint64_t pages = 0;

    for (size_t i = 0; i < t->map->n; i++)
        pages += copy_dirty(t, i, &bitmaps[i], copy[i]);
    return pages;
}

uint64_t dirty_trial_run(const struct dirty_trial *t)
{
    struct dirty_bitmap *bitmaps = dirty_trial_bitmaps(t->map);
    uint8_t **copy = calloc(t->map->n, sizeof(*copy));
    struct error err;

    CHECK(copy, "memory");
    OK(t->source->ops->start(t->source, &err), err, t->label);
    for (size_t i = 0; i < t->map->n; i++) {
        copy[i] = mmap(NULL, t->map->blocks[i].used_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CHECK(copy[i] != MAP_FAILED, "memory");
        OK(ram_resident(&t->map->blocks[i], &bitmaps[i], &err), err, t->label);
    }
    uint64_t pages = copy_all(t, bitmaps, copy);
    for (unsigned round = 0; round < t->rounds; round++) {
        t->progress(t->arg);
        dirty_trial_sync(t->source, t->map, bitmaps);
        pages += copy_all(t, bitmaps, copy);
    }
    t->settle(t->arg);
    dirty_trial_sync(t->source, t->map, bitmaps);
    pages += copy_all(t, bitmaps, copy);
    for (size_t i = 0; i < t->map->n; i++) {
        check_copy(t, &t->map->blocks[i], copy[i]);
        munmap(copy[i], t->map->blocks[i].used_bytes);
    }
    t->source->ops->stop(t->source);
    free(copy);
    dirty_trial_bitmaps_free(t->map, bitmaps);
    return pages;
}

/* --- writers --------------------------------------------------------------------------------- */

#define WRITERS_MAX 4
#define STEP        500 /* pages that all writers together write before that counts as progress */

struct writers {
    const struct ram_map *map;
    unsigned n_threads;
    pthread_t threads[WRITERS_MAX];
    atomic_bool stop;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t written; /* under lock */
};

/* xorshift64*, here again because this one must not be instrumented by sanitizers. */
GUEST static uint64_t draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

GUEST static void write_pages(struct writers *w, uint64_t *random)
{
    for (unsigned i = 0; i < STEP / 4; i++) {
        const struct ram_block *b = &w->map->blocks[draw(random) % w->map->n];
        uint64_t r = draw(random);
        volatile uint64_t *words =
            (volatile uint64_t *)(b->host + ((r >> 16) % ram_block_pages(b) << RAM_PAGE_BITS));

        words[r % (RAM_PAGE_SIZE / sizeof(*words))] = r;
    }
}

static void *writer_main(void *arg)
{
    struct writers *w = arg;
    uint64_t random = (uintptr_t)&random | 1; /* another seed for each thread */

    while (!atomic_load(&w->stop)) {
        write_pages(w, &random);
        pthread_mutex_lock(&w->lock);
        w->written += STEP / 4;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

struct writers *writers_start(const struct ram_map *map, unsigned n_threads)
{
    struct writers *w = calloc(1, sizeof(*w));

    CHECK(w && n_threads <= WRITERS_MAX, "writers");
    w->map = map;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    for (; w->n_threads < n_threads; w->n_threads++)
        CHECK(pthread_create(&w->threads[w->n_threads], NULL, writer_main, w) == 0, "thread");
    return w;
}

void writers_progress(void *writers)
{
    struct writers *w = writers;

    pthread_mutex_lock(&w->lock);
    uint64_t until = w->written + STEP;
    while (w->written < until)
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void writers_settle(void *writers)
{
    struct writers *w = writers;

    atomic_store(&w->stop, true);
    for (; w->n_threads > 0; w->n_threads--)
        pthread_join(w->threads[w->n_threads - 1], NULL);
}

void writers_free(struct writers *w)
{
    writers_settle(w);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
