#include "migration/dirty_rate.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/thread.h"
#include "ram/stripe.h"

#define GIB (UINT64_C(1) << 30)

/* The guest writes while we look. A torn value was written meanwhile, and that is all we want to
 * know. */
#define GUEST __attribute__((no_sanitize("thread")))

struct sample {
    const uint8_t *page;
    uint64_t hash;
};

struct dirty_rate {
    /* Set before the thread starts, read-only after. */
    struct dirty_rate_config config;
    struct thread thread;

    /* Used only by the thread. */
    struct sample *samples;
    size_t n_samples, room;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    enum dirty_rate_status status;
    uint64_t bytes_per_s;
};

/* --- waiting --------------------------------------------------------------------------------- */

/* Waits until the time is over or dirty_rate_stop() is called. Returns how long it waited, in
 * ns. */
static uint64_t let_pass(struct dirty_rate *d)
{
    uint64_t start = clock_ns(), deadline = deadline_in_ms(d->config.calc_ms), now;
    struct timespec until = deadline_timespec(deadline);

    pthread_mutex_lock(&d->lock);
    while (!d->stopping && clock_ns() < deadline)
        pthread_cond_clockwait(&d->changed, &d->lock, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&d->lock);
    now = clock_ns();
    return now > start ? now - start : 1;
}

static uint64_t per_second(uint64_t bytes, uint64_t ns)
{
    return (uint64_t)((double)bytes * (double)NS_PER_S / (double)ns);
}

/* --- by pages chosen at random --------------------------------------------------------------- */

/* FNV-1a, a word at a time. It does no harm if a changed page has the same hash. */
GUEST static uint64_t hash_page(const uint8_t *page)
{
    const volatile uint64_t *words = (const volatile uint64_t *)page;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < RAM_PAGE_SIZE / sizeof(*words); i++)
        hash = (hash ^ words[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t samples_of(const struct dirty_rate *d, const struct ram_block *b)
{
    uint64_t n = (uint64_t)((double)b->used_bytes / (double)GIB * d->config.sample_pages);

    return b->host ? MIN(MAX(n, UINT64_C(1)), ram_block_pages(b)) : 0;
}

static void choose(struct dirty_rate *d, const struct ram_block *b, uint64_t *random)
{
    for (uint64_t n = samples_of(d, b); n > 0 && d->n_samples < d->room; n--) {
        *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): it has at least n, more than none */
        uint64_t page = (*random >> 20) % ram_block_pages(b);
        const uint8_t *at = b->host + (page << RAM_PAGE_BITS);

        d->samples[d->n_samples++] = (struct sample){at, hash_page(at)};
    }
}

static int measure_by_samples(struct dirty_rate *d, uint64_t *ret, struct error *err)
{
    const struct ram_map *ram = &d->config.machine->ram;
    uint64_t random = clock_ns(), changed = 0;

    for (size_t i = 0; i < ram->n; i++)
        d->room += samples_of(d, &ram->blocks[i]);
    d->samples = calloc(d->room ? d->room : 1, sizeof(*d->samples));
    if (!d->samples)
        return err_sys(err, "memory for samples");
    for (size_t i = 0; i < ram->n; i++)
        choose(d, &ram->blocks[i], &random);
    uint64_t ns = let_pass(d);
    for (size_t i = 0; i < d->n_samples; i++)
        changed += hash_page(d->samples[i].page) != d->samples[i].hash;
    double part = d->n_samples ? (double)changed / (double)d->n_samples : 0;
    *ret = per_second((uint64_t)((double)ram->total_bytes * part), ns);
    return 0;
}

/* --- by the dirty log ------------------------------------------------------------------------ */

/* Clears all bits, so that the next look finds pages that are written from now on. */
static int forget(struct ram_round *round, struct error *err)
{
    uint64_t words[STRIPE_WORDS];
    struct stripe stripe;
    bool any;

    while (stripe_claim(round, &stripe)) {
        if (stripe_take(round, &stripe, words, &any, err) < 0)
            return -1;
    }
    return 0;
}

/* The first look finds what was written before, which may be every page. So only what the second
 * look finds counts. */
static int count_writes(struct dirty_rate *d, struct ram_round *round, uint64_t *ret,
                        struct error *err)
{
    struct dirty_source *log = round->source;
    uint64_t pages = 0;

    if (log->ops->start(log, err) < 0 || log->ops->sync(log, round->dirty, &pages, err) < 0 ||
        forget(round, err) < 0)
        return -1;
    uint64_t ns = let_pass(d);
    if (log->ops->sync(log, round->dirty, &pages, err) < 0)
        return -1;
    *ret = per_second(pages * RAM_PAGE_SIZE, ns);
    return 0;
}

static int measure_by_log(struct dirty_rate *d, uint64_t *ret, struct error *err)
{
    struct dirty_source *log = d->config.machine->dirty;
    struct ram_round round;

    if (ram_round_init(&round, &d->config.machine->ram, false, log, err) < 0)
        return -1;
    int rc = count_writes(d, &round, ret, err);
    log->ops->stop(log);
    ram_round_done(&round);
    return rc;
}

/* --- life ------------------------------------------------------------------------------------ */

static void *measure_main(void *arg)
{
    struct dirty_rate *d = arg;
    struct error ignored; /* the status only says that it failed */
    uint64_t rate = 0;
    int rc = d->config.mode == DIRTY_RATE_LOG ? measure_by_log(d, &rate, &ignored)
                                              : measure_by_samples(d, &rate, &ignored);

    pthread_mutex_lock(&d->lock);
    d->status = rc < 0 ? DIRTY_RATE_FAILED : DIRTY_RATE_MEASURED;
    d->bytes_per_s = rate;
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

int dirty_rate_start(const struct dirty_rate_config *config, struct dirty_rate **ret,
                     struct error *err)
{
    if (config->mode == DIRTY_RATE_LOG && !config->machine->dirty)
        return err_set(err, ERR_USAGE, "this machine keeps no dirty log; use mode page-sampling");
    struct dirty_rate *d = calloc(1, sizeof(*d));
    if (!d)
        return err_sys(err, "memory for a measurement");
    d->config = *config;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    if (thread_start(&d->thread, measure_main, d, err, "dirty-rate") < 0) {
        dirty_rate_free(d);
        return -1;
    }
    *ret = d;
    return 0;
}

enum dirty_rate_status dirty_rate_read(struct dirty_rate *d, uint64_t *ret_bytes_per_s)
{
    pthread_mutex_lock(&d->lock);
    enum dirty_rate_status status = d->status;
    if (status == DIRTY_RATE_MEASURED)
        *ret_bytes_per_s = d->bytes_per_s;
    pthread_mutex_unlock(&d->lock);
    return status;
}

void dirty_rate_stop(struct dirty_rate *d)
{
    if (!d->thread.running)
        return;
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    thread_join(&d->thread);
}

void dirty_rate_free(struct dirty_rate *d)
{
    if (!d)
        return;
    dirty_rate_stop(d);
    free(d->samples);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d);
}
