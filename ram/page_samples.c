#include "ram/page_samples.h"

#include <string.h>
#include <sys/mman.h>

#include "base/macros.h"

#define RUN_BYTES ((size_t)PAGE_SAMPLES_RUN * RAM_PAGE_SIZE)

int page_samples_init(struct page_samples *s, struct error *err)
{
    void *bytes = mmap(NULL, PAGE_SAMPLES_MAX, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (bytes == MAP_FAILED)
        return err_sys(err, "memory for sampled pages");
    *s = (struct page_samples){.bytes = bytes};
    atomic_store(&s->every, 1);
    for (unsigned i = 0; i < PAGE_SAMPLES_RUNS; i++)
        s->runs[i].place = i;
    pthread_mutex_init(&s->lock, NULL);
    return 0;
}

void page_samples_done(struct page_samples *s)
{
    if (!s->bytes)
        return;
    munmap(s->bytes, PAGE_SAMPLES_MAX);
    pthread_mutex_destroy(&s->lock);
    s->bytes = NULL;
}

/* Keeps every second stretch of those that are kept now. A run that is dropped gives its place to
 * one that comes later. */
static void thin_out(struct page_samples *s)
{
    uint64_t every = atomic_load(&s->every) * 2;
    size_t kept = 0;

    for (size_t i = 0; i < s->n; i++) {
        struct page_run run = s->runs[i];

        if (run.stretch % every != 0)
            continue;
        s->runs[i] = s->runs[kept];
        s->runs[kept++] = run;
    }
    s->n = kept;
    atomic_store(&s->every, every);
}

/* The run of this stretch: the last one, mostly, or a new one. Under the lock. NULL: the stretch is
 * not kept. */
static struct page_run *run_of(struct page_samples *s, uint64_t stretch)
{
    for (size_t i = s->n; i > 0; i--) {
        if (s->runs[i - 1].stretch == stretch)
            return &s->runs[i - 1];
    }
    while (s->n == PAGE_SAMPLES_RUNS)
        thin_out(s);
    if (stretch % atomic_load(&s->every) != 0)
        return NULL;
    s->runs[s->n].stretch = stretch;
    s->runs[s->n].n_pages = 0;
    return &s->runs[s->n++];
}

static void keep(struct page_samples *s, uint64_t stretch, const uint8_t *bytes, uint64_t pages)
{
    pthread_mutex_lock(&s->lock);
    struct page_run *run = run_of(s, stretch);

    if (run) {
        pages = MIN(pages, (uint64_t)(PAGE_SAMPLES_RUN - run->n_pages));
        memcpy(s->bytes + run->place * RUN_BYTES + (size_t)run->n_pages * RAM_PAGE_SIZE, bytes,
               (size_t)pages * RAM_PAGE_SIZE);
        run->n_pages += (unsigned)pages;
    }
    pthread_mutex_unlock(&s->lock);
}

void page_samples_offer(struct page_samples *s, const uint8_t *bytes, size_t len)
{
    uint64_t pages = len / RAM_PAGE_SIZE;
    uint64_t first = atomic_fetch_add_explicit(&s->passed, pages, memory_order_relaxed);

    while (pages > 0) {
        uint64_t stretch = first / PAGE_SAMPLES_RUN;
        uint64_t here = MIN(pages, PAGE_SAMPLES_RUN - first % PAGE_SAMPLES_RUN);

        if (stretch % atomic_load_explicit(&s->every, memory_order_relaxed) == 0)
            keep(s, stretch, bytes, here);
        first += here;
        pages -= here;
        bytes += here * RAM_PAGE_SIZE;
    }
}

const uint8_t *page_samples_run(const struct page_samples *s, size_t i, size_t *ret_len)
{
    const struct page_run *run = &s->runs[i];

    *ret_len = (size_t)run->n_pages * RAM_PAGE_SIZE;
    return s->bytes + run->place * RUN_BYTES;
}
