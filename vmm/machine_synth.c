#include "vmm/machine_synth.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/memory_room.h"
#include "base/thread.h"
#include "stream/description.h"
#include "vmm/dirty_software.h"

#define BLOCK_NAME "pc.ram"
#define TICK_NS    NS_PER_MS

#define FILL_PAGES  UINT64_C(512) /* what a thread claims at once: 2 MiB */
#define FILLERS_MAX 64

/* Of the pages that the writer touches, one in so many is made all zeros. */
#define ZERO_EVERY 16

/* The guest writes while the sender reads: that is what a migration does, and no race to report. */
#define GUEST __attribute__((no_sanitize("thread")))

struct synth {
    struct machine base;
    struct dirty_software dirty;
    struct synth_config config;

    /* The writer's, while it runs. */
    uint64_t random;

    /* Stopping and resuming, under `control`. */
    pthread_mutex_t control;
    unsigned paused_for; /* enum pause_reason */
    struct thread writer;

    pthread_mutex_t lock;
    pthread_cond_t stop_cond;
    atomic_bool stop; /* set under lock */

    /* Any thread: how a migration slows the writer. */
    _Atomic unsigned throttle_percent;
    _Atomic uint64_t limit_bytes_per_s; /* 0: none */
};

/* xorshift64*: good enough for noise, and fast. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static uint64_t seed_of(uint64_t seed, uint64_t page)
{
    uint64_t state =
        (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (page + 1) * UINT64_C(0xbf58476d1ce4e5b9);

    return state ? state : 1;
}

static void fill_random(uint64_t *words, uint64_t state)
{
    for (size_t i = 0; i < RAM_PAGE_SIZE / sizeof(*words); i++)
        words[i] = next_random(&state);
}

/* Words of a small vocabulary: compresses about as well as real memory. */
static void fill_text(char *page, uint64_t state)
{
    static const char vocabulary[][8] = {"memory ", "page   ", "\0\0\0\0\0\0\0", "channel",
                                         "0x7fff8", "stream ", "\1\0\0\0\2\0\0", "guest  "};
    uint64_t *words = (uint64_t *)page;

    for (size_t i = 0; i < RAM_PAGE_SIZE / sizeof(*words); i++) {
        uint64_t r = next_random(&state);

        if (r % 8 == 7)
            words[i] = r;
        else
            memcpy(&words[i], vocabulary[r >> 8 & 7], sizeof(*words));
    }
}

static void fill_page(const struct synth *s, uint64_t page)
{
    uint64_t state = seed_of(s->config.seed, page);
    unsigned kind = (unsigned)(next_random(&state) >> 16) % 100;
    uint8_t *at = s->base.ram.blocks[0].host + (page << RAM_PAGE_BITS);

    if (kind < s->config.zero_percent)
        return; /* fresh memory is zero, and stays untouched */
    if (kind < s->config.zero_percent + s->config.random_percent)
        fill_random((uint64_t *)at, state);
    else
        fill_text((char *)at, state);
}

/* Each of its threads claims pieces until none is left. */
struct filling {
    const struct synth *s;
    _Atomic uint64_t next; /* page */
    struct thread thread[FILLERS_MAX];
};

static void *fill_main(void *arg)
{
    struct filling *f = arg;
    uint64_t pages = ram_block_pages(&f->s->base.ram.blocks[0]), at;

    while ((at = atomic_fetch_add(&f->next, FILL_PAGES)) < pages) {
        for (uint64_t page = at; page < MIN(at + FILL_PAGES, pages); page++)
            fill_page(f->s, page);
        if (f->s->config.ret_filled)
            atomic_fetch_add(f->s->config.ret_filled, FILL_PAGES << RAM_PAGE_BITS);
    }
    return NULL;
}

/* This thread fills, too: so it does no harm if no other can be started. */
static void fill(const struct synth *s)
{
    struct filling f = {.s = s};
    uint64_t pieces = ram_block_pages(&s->base.ram.blocks[0]) / FILL_PAGES;
    uint64_t n = MIN(MIN(pieces, (uint64_t)cpus_usable()), (uint64_t)FILLERS_MAX);
    struct error ignored;

    for (uint64_t i = 1; i < n; i++)
        (void)!thread_start(&f.thread[i], fill_main, &f, &ignored, "fill-%llu",
                            (unsigned long long)i);
    fill_main(&f);
    for (uint64_t i = 1; i < n; i++)
        thread_join(&f.thread[i]);
}

/* --- the guest ------------------------------------------------------------------------------- */

/* Volatile: otherwise the loop may become a library call, which a sanitizer watches. */
GUEST static void write_page(struct synth *s)
{
    struct ram_block *b = &s->base.ram.blocks[0];
    uint64_t r = next_random(&s->random), page = r % ram_block_pages(b);
    volatile uint64_t *words = (volatile uint64_t *)(b->host + (page << RAM_PAGE_BITS));
    bool zero = (r >> 40) % ZERO_EVERY == 0;

    for (size_t i = 0; i < RAM_PAGE_SIZE / sizeof(*words); i += zero ? 1 : 64)
        words[i] = zero ? 0 : r + i;
    dirty_software_wrote(&s->dirty, page);
}

/* Waits for the next tick; false when the guest is to stop. */
static bool next_tick(struct synth *s, uint64_t tick)
{
    struct timespec until = deadline_timespec(tick);

    pthread_mutex_lock(&s->lock);
    while (!s->stop && clock_ns() < tick)
        pthread_cond_clockwait(&s->stop_cond, &s->lock, CLOCK_MONOTONIC, &until);
    bool go = !s->stop;
    pthread_mutex_unlock(&s->lock);
    return go;
}

/* Bytes per second that the guest may write now. */
static double rate_of(struct synth *s)
{
    double limit = (double)atomic_load(&s->limit_bytes_per_s);
    double rate =
        (double)s->config.dirty_bytes_per_s * (100 - atomic_load(&s->throttle_percent)) / 100;

    return limit > 0 ? MIN(rate, limit) : rate;
}

/* Whether the writer must stop, or write at another rate than this. */
static bool is_changed(struct synth *s, double rate)
{
    return atomic_load_explicit(&s->stop, memory_order_relaxed) || rate_of(s) != rate;
}

static void *writer_main(void *arg)
{
    struct synth *s = arg;
    uint64_t last = clock_ns();
    double due = 0, rate = rate_of(s); /* due in pages */

    for (uint64_t tick = last; next_tick(s, tick); tick += TICK_NS) {
        uint64_t now = clock_ns();

        due += rate * (double)(now - last) / (double)NS_PER_S / RAM_PAGE_SIZE;
        last = now;
        for (; due >= 1 && !is_changed(s, rate); due--)
            write_page(s);
        if (!is_changed(s, rate))
            continue;
        /* A guest that was slowed down does not make up for writes that it has missed. */
        rate = rate_of(s);
        last = clock_ns();
        due = 0;
    }
    return NULL;
}

static int start_writer(struct synth *s, struct error *err)
{
    if (s->config.dirty_bytes_per_s == 0)
        return 0;
    s->stop = false;
    return thread_start(&s->writer, writer_main, s, err, "guest");
}

static void end_writer(struct synth *s)
{
    if (!s->writer.running)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->stop_cond);
    pthread_mutex_unlock(&s->lock);
    thread_join(&s->writer);
}

static int synth_stop(struct machine *m, enum pause_reason why, struct error *err)
{
    struct synth *s = (struct synth *)m;

    (void)err;
    pthread_mutex_lock(&s->control);
    s->paused_for |= why;
    end_writer(s);
    pthread_mutex_unlock(&s->control);
    return 0;
}

static void synth_resume(struct machine *m, enum pause_reason why)
{
    struct synth *s = (struct synth *)m;
    struct error ignored; /* a synthetic guest that does not run again does no harm */

    pthread_mutex_lock(&s->control);
    s->paused_for &= ~(unsigned)why;
    if (!s->paused_for && !s->writer.running)
        (void)!start_writer(s, &ignored);
    pthread_mutex_unlock(&s->control);
}

static void synth_throttle(struct machine *m, unsigned percent)
{
    atomic_store(&((struct synth *)m)->throttle_percent, percent);
}

/* It counts as one vCPU. */
static void synth_limit_dirty(struct machine *m, uint64_t bytes_per_s)
{
    atomic_store(&((struct synth *)m)->limit_bytes_per_s, bytes_per_s);
}

static bool synth_is_held(struct machine *m, enum pause_reason why)
{
    struct synth *s = (struct synth *)m;

    pthread_mutex_lock(&s->control);
    bool held = (s->paused_for & why) != 0;
    pthread_mutex_unlock(&s->control);
    return held;
}

/* --- life ------------------------------------------------------------------------------------ */

static void synth_free(struct machine *m)
{
    struct synth *s = (struct synth *)m;

    end_writer(s);
    dirty_software_done(&s->dirty);
    ram_map_done(&m->ram);
    device_state_done(&m->devices);
    pthread_cond_destroy(&s->stop_cond);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->control);
    free(s);
}

static const struct machine_ops synth_ops = {
    .stop = synth_stop,
    .resume = synth_resume,
    .is_paused_for = synth_is_held,
    .throttle = synth_throttle,
    .limit_dirty = synth_limit_dirty,
    .free = synth_free,
};

/* What will be filled: a writer writes all pages in time, and else zero pages stay untouched. */
static uint64_t bytes_filled(const struct synth_config *c)
{
    return c->dirty_bytes_per_s ? c->bytes : c->bytes / 100 * (100 - c->zero_percent);
}

/* No present bits: the kernel knows which pages the guest has written (ram/resident.h). */
static int make_memory(struct synth *s, struct error *err)
{
    if (memory_room_check(s->config.bytes, bytes_filled(&s->config), err) < 0 ||
        ram_map_add(&s->base.ram, BLOCK_NAME, s->config.bytes, err) < 0 ||
        ram_block_map_anonymous(&s->base.ram.blocks[0], err) < 0)
        return -1;
    return dirty_software_init(&s->dirty, ram_block_pages(&s->base.ram.blocks[0]), err);
}

int machine_synth(const struct synth_config *config, struct machine **ret, struct error *err)
{
    struct synth *s = calloc(1, sizeof(*s));

    if (!s)
        return err_sys(err, "memory for a machine");
    s->base.ops = &synth_ops;
    s->config = *config;
    s->random = seed_of(config->seed, UINT64_MAX - 1);
    pthread_mutex_init(&s->control, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->stop_cond, NULL);
    strcpy(s->base.config.machine, RAMJET_MACHINE);
    if (config->dirty_bytes_per_s)
        s->base.dirty = &s->dirty.base;
    if (make_memory(s, err) < 0 || description_append(&s->base.devices.tail, NULL, err) < 0) {
        synth_free(&s->base);
        return -1;
    }
    fill(s);
    if (start_writer(s, err) < 0) {
        synth_free(&s->base);
        return -1;
    }
    *ret = &s->base;
    return 0;
}
