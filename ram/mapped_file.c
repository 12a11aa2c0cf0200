#include "ram/mapped_file.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "ram/stripe.h"

#define THREADS_MAX 64

/* What the threads share. */
struct load {
    const struct mapped_file *file;
    const struct ram_map *map;
    const struct cancel *cancel;
    struct ram_round round; /* its dirty pages are those that the file has */

    pthread_mutex_t lock;
    bool failed;      /* under the lock, as its reason; or atomically */
    struct error err; /* the first */
};

/* --- what the file has ----------------------------------------------------------------------- */

static int read_exactly(int fd, void *to, size_t len, uint64_t offset, struct error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "reading byte %" PRIu64, offset + done);
        if (n == 0)
            return err_set(err, ERR_PEER, "the file ends at byte %" PRIu64 ", %zu more expected",
                           offset + done, len - done);
        done += (size_t)n;
    }
    return 0;
}

/* Reading behind the file's end would be found out late: the last page tells. */
static int check_end(const struct load *l, size_t block, uint64_t last_page, struct error *err)
{
    uint64_t end = l->file->blocks[block].pages_offset + ((last_page + 1) << RAM_PAGE_BITS);

    if (end <= l->file->bytes)
        return 0;
    return err_set(err, ERR_PEER,
                   "the file has %" PRIu64 " bytes, expected at least %" PRIu64
                   " for page %" PRIu64,
                   l->file->bytes, end, last_page);
}

/* Bits of pages that there are not are dropped. */
static int take_bitmap(struct load *l, size_t block, const uint64_t *words, struct error *err)
{
    struct dirty_bitmap *d = &l->round.dirty[block];
    uint64_t last = UINT64_MAX;

    for (uint64_t w = 0; w < dirty_bitmap_words(d); w++) {
        dirty_bitmap_merge(d, w, le64toh(words[w]));
        uint64_t bits = atomic_load_explicit(&d->words[w], memory_order_relaxed);
        if (bits)
            last = w * 64 + 63 - (uint64_t)__builtin_clzll(bits);
    }
    return last == UINT64_MAX ? 0 : check_end(l, block, last, err);
}

static int read_bitmap(struct load *l, size_t block, struct error *err)
{
    const struct ram_block *b = &l->map->blocks[block];
    size_t len = mapped_ram_bitmap_bytes(b);
    uint64_t *words = malloc(len);

    if (!words)
        return err_sys(err, "RAM block '%s': memory for its bitmap", b->name);
    int rc = read_exactly(l->file->fd, words, len, l->file->blocks[block].bitmap_offset, err);
    if (rc == 0)
        rc = take_bitmap(l, block, words, err);
    free(words);
    return rc < 0 ? err_in(err, "RAM block '%s'", b->name) : 0;
}

static int read_bitmaps(struct load *l, struct error *err)
{
    for (size_t i = 0; i < l->map->n; i++) {
        if (l->map->blocks[i].travel == RAM_TRAVELS && read_bitmap(l, i, err) < 0)
            return -1;
    }
    return 0;
}

/* --- its pages ------------------------------------------------------------------------------- */

/* Into memory straight to its place; a store is written from `buffer`, of a stripe's size. */
static int load_run(const struct load *l, size_t block, uint64_t page, uint64_t n_pages,
                    uint8_t *buffer, struct error *err)
{
    struct ram_block *b = &l->map->blocks[block];
    uint64_t offset = page << RAM_PAGE_BITS;
    size_t len = n_pages << RAM_PAGE_BITS;
    uint8_t *host;

    if (ram_span(b, offset, len, &host, err) < 0)
        return -1;
    uint64_t at = l->file->blocks[block].pages_offset + offset;
    if (read_exactly(l->file->fd, host ? host : buffer, len, at, err) < 0)
        return err_in(err, "RAM block '%s'", b->name);
    if (!host)
        return ram_write(b, offset, buffer, len, err);
    ram_mark_present(b, offset, len);
    return 0;
}

static bool has(const uint64_t words[STRIPE_WORDS], unsigned page)
{
    return page < STRIPE_PAGES && words[page / 64] >> page % 64 & 1;
}

/* Neighbours together. */
static int load_stripe(struct load *l, const struct stripe *s, uint8_t *buffer, struct error *err)
{
    uint64_t words[STRIPE_WORDS];
    bool any;

    if (stripe_take(&l->round, s, words, &any, err) < 0)
        return -1;
    for (unsigned first = 0, end; any && first < STRIPE_PAGES; first = end + 1) {
        for (end = first; has(words, end);)
            end++;
        if (end > first &&
            load_run(l, s->block, s->first_page + first, end - first, buffer, err) < 0)
            return -1;
    }
    return 0;
}

/* --- threads --------------------------------------------------------------------------------- */

static void fail(struct load *l, const struct error *err)
{
    pthread_mutex_lock(&l->lock);
    if (!l->failed)
        l->err = *err;
    __atomic_store_n(&l->failed, true, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&l->lock);
}

static int load_stripes(struct load *l, uint8_t *buffer, struct error *err)
{
    struct stripe s;

    while (!__atomic_load_n(&l->failed, __ATOMIC_RELAXED) && stripe_claim(&l->round, &s)) {
        if (cancel_requested(l->cancel))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (load_stripe(l, &s, buffer, err) < 0)
            return -1;
    }
    return 0;
}

static void *load_main(void *arg)
{
    struct load *l = arg;
    uint8_t *buffer = malloc((size_t)STRIPE_PAGES * RAM_PAGE_SIZE);
    struct error err;

    int rc = buffer ? load_stripes(l, buffer, &err) : err_sys(&err, "memory for pages");
    if (rc < 0)
        fail(l, &err);
    free(buffer);
    return NULL;
}

/* The calling thread is one of them; fewer than were asked for do as well. */
static int load_all(struct load *l, unsigned n_threads, struct error *err)
{
    pthread_t threads[THREADS_MAX];
    unsigned n = 0;

    while (n + 1 < MIN(n_threads, THREADS_MAX) &&
           pthread_create(&threads[n], NULL, load_main, l) == 0)
        n++;
    load_main(l);
    while (n > 0)
        pthread_join(threads[--n], NULL);
    if (!l->failed)
        return 0;
    *err = l->err;
    return -1;
}

int mapped_file_load(const struct mapped_file *f, const struct ram_map *map, unsigned n_threads,
                     const struct cancel *cancel, struct error *err)
{
    struct load l = {.file = f, .map = map, .cancel = cancel};

    if (ram_round_init(&l.round, map, false, NULL, err) < 0)
        return -1;
    pthread_mutex_init(&l.lock, NULL);
    int rc = read_bitmaps(&l, err);
    if (rc == 0)
        rc = load_all(&l, n_threads, err);
    pthread_mutex_destroy(&l.lock);
    ram_round_done(&l.round);
    return rc;
}
