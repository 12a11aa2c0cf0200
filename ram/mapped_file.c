#include "ram/mapped_file.h"

#include <endian.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "ram/checksum.h"
#include "ram/file_read.h"
#include "ram/page_place.h"
#include "ram/stripe.h"

#define THREADS_MAX 64
#define BUFFER_SIZE ((size_t)STRIPE_PAGES * RAM_PAGE_SIZE)

/* What the threads share. */
struct load {
    const struct mapped_file *file;
    const struct ram_map *map;
    const struct cancel *cancel;
    struct ram_round round; /* its dirty pages are the pages that are still to be read */

    pthread_mutex_t lock;
    atomic_bool failed; /* set under the lock, together with `err` */
    struct error err;   /* the first error */
};

/* --- what the file has ----------------------------------------------------------------------- */

static int read_bitmap(const struct mapped_file *f, size_t block, const struct ram_block *b,
                       uint64_t *ret, struct error *err)
{
    size_t len = mapped_ram_bitmap_bytes(b);
    uint64_t last = UINT64_MAX;

    if (file_read_exactly(f->fd, ret, len, f->blocks[block].bitmap_offset, err) < 0)
        return err_in(err, "bitmap");
    for (size_t w = 0; w < len / 8; w++) {
        ret[w] = le64toh(ret[w]);
        if (ret[w])
            last = w * 64 + 63 - (uint64_t)__builtin_clzll(ret[w]);
    }
    if (last == UINT64_MAX || last < ram_block_pages(b))
        return 0;
    return err_set(err, ERR_PEER, "bitmap: page %" PRIu64 ", expected at most %" PRIu64, last,
                   ram_block_pages(b) - 1);
}

int mapped_file_bitmap(const struct mapped_file *f, size_t block, const struct ram_block *b,
                       uint64_t *ret, struct error *err)
{
    int rc = read_bitmap(f, block, b, ret, err);

    return rc < 0 ? err_in(err, "RAM block '%s'", b->name) : 0;
}

static int take_bitmap(struct load *l, size_t block, struct error *err)
{
    const struct ram_block *b = &l->map->blocks[block];
    struct dirty_bitmap *d = &l->round.dirty[block];
    uint64_t *words = malloc(mapped_ram_bitmap_bytes(b));

    if (!words)
        return err_sys(err, "RAM block '%s': memory for its bitmap", b->name);
    int rc = mapped_file_bitmap(l->file, block, b, words, err);
    for (uint64_t w = 0; rc == 0 && w < dirty_bitmap_words(d); w++)
        dirty_bitmap_merge(d, w, words[w]);
    free(words);
    return rc;
}

static int read_bitmaps(struct load *l, struct error *err)
{
    for (size_t i = 0; i < l->map->n; i++) {
        if (l->map->blocks[i].travel == RAM_TRAVELS && take_bitmap(l, i, err) < 0)
            return -1;
    }
    return 0;
}

/* --- its pages, mapped ----------------------------------------------------------------------- */

/* The first page from `page` on that the file has (`wanted`), or does not have. */
static uint64_t next_page(const struct dirty_bitmap *d, uint64_t page, bool wanted)
{
    while (page < d->n_pages) {
        uint64_t word = atomic_load_explicit(&d->words[page / 64], memory_order_relaxed);
        uint64_t left = (wanted ? word : ~word) >> page % 64;

        if (left)
            return MIN(page + (uint64_t)__builtin_ctzll(left), d->n_pages);
        page = ALIGN_UP(page + 1, 64);
    }
    return d->n_pages;
}

static void clear_pages(struct dirty_bitmap *d, uint64_t first, uint64_t end)
{
    for (uint64_t page = first; page < end; page++)
        d->words[page / 64] &= ~(UINT64_C(1) << page % 64);
}

static void map_block(struct load *l, size_t block, struct file_mapping *mapping)
{
    struct ram_block *b = &l->map->blocks[block];
    struct dirty_bitmap *d = &l->round.dirty[block];

    for (uint64_t first = 0, end; (first = next_page(d, first, true)) < d->n_pages; first = end) {
        end = next_page(d, first, false);
        uint64_t at = first << RAM_PAGE_BITS;
        const struct file_pages pages = {.fd = l->file->fd,
                                         .offset = l->file->blocks[block].pages_offset + at,
                                         .first_page = first,
                                         .n_pages = end - first};

        if (!file_mapping_add(mapping, b, &pages))
            continue;
        ram_mark_present(b, at, (size_t)(end - first) << RAM_PAGE_BITS);
        clear_pages(d, first, end);
    }
}

static void map_blocks(struct load *l, struct file_mapping *mapping)
{
    for (size_t i = 0; i < l->map->n; i++) {
        if (l->map->blocks[i].travel == RAM_TRAVELS)
            map_block(l, i, mapping);
    }
}

/* --- its pages, read ------------------------------------------------------------------------- */

/* What one thread has. */
struct loader {
    struct load *load;
    uint8_t *buffer; /* holds a stripe */
    struct stripe stripe;
    bool is_summed; /* all pages of the stripe are read here, and its checksum is known */
    uint64_t sums[STRIPE_PAGES];
};

/* Reads a run of pages: into the block's memory directly, or through `buffer`, into its store. */
static int load_run(struct loader *t, unsigned first, unsigned n_pages, struct error *err)
{
    const struct mapped_file *file = t->load->file;
    struct ram_block *b = &t->load->map->blocks[t->stripe.block];
    uint64_t offset = (t->stripe.first_page + first) << RAM_PAGE_BITS;
    size_t len = (size_t)n_pages << RAM_PAGE_BITS;
    uint8_t *host;

    if (ram_span(b, offset, len, &host, err) < 0)
        return -1;
    uint8_t *room = page_place_room(host, t->buffer);
    uint64_t at = file->blocks[t->stripe.block].pages_offset + offset;
    int fd = file->direct_fd >= 0 ? file->direct_fd : file->fd;
    if (file_read_exactly(fd, room, len, at, err) < 0)
        return err_in(err, "RAM block '%s'", b->name);
    for (unsigned i = 0; t->is_summed && i < n_pages; i++)
        t->sums[first + i] = checksum_page(room + (size_t)i * RAM_PAGE_SIZE);
    return page_place_settle(b, offset, room, len, err);
}

static bool has(const uint64_t words[STRIPE_WORDS], unsigned page)
{
    return page < STRIPE_PAGES && words[page / 64] >> page % 64 & 1;
}

/* Pages that are mapped are present already. They are not read, and so not summed. */
static bool any_present(const struct ram_block *b, const struct stripe *s)
{
    uint64_t first = s->first_page / 64, end = (s->first_page + s->n_pages + 63) / 64, any = 0;

    for (uint64_t w = first; w < end; w++)
        any |= atomic_load_explicit(&b->present[w], memory_order_relaxed);
    return any;
}

/* Reads pages that follow each other in one call. */
static int load_stripe(struct loader *t, struct error *err)
{
    const struct ram_block *b = &t->load->map->blocks[t->stripe.block];
    uint64_t words[STRIPE_WORDS];
    bool any;

    if (stripe_take(&t->load->round, &t->stripe, words, &any, err) < 0)
        return -1;
    t->is_summed = b->checksums && !any_present(b, &t->stripe);
    if (t->is_summed)
        memset(t->sums, 0, sizeof(t->sums));
    for (unsigned first = 0, end; any && first < STRIPE_PAGES; first = end + 1) {
        for (end = first; has(words, end);)
            end++;
        if (end > first && load_run(t, first, end - first, err) < 0)
            return -1;
    }
    if (!t->is_summed)
        return 0;
    return checksum_expect(b, t->stripe.first_page, t->sums, t->stripe.n_pages, err);
}

/* --- threads --------------------------------------------------------------------------------- */

static void fail(struct load *l, const struct error *err)
{
    pthread_mutex_lock(&l->lock);
    if (!l->failed)
        l->err = *err;
    atomic_store_explicit(&l->failed, true, memory_order_relaxed);
    pthread_mutex_unlock(&l->lock);
}

static int load_stripes(struct loader *t, struct error *err)
{
    struct load *l = t->load;

    while (!atomic_load_explicit(&l->failed, memory_order_relaxed) &&
           stripe_claim(&l->round, &t->stripe)) {
        if (cancel_requested(l->cancel))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (load_stripe(t, err) < 0)
            return -1;
    }
    return 0;
}

static void *load_main(void *arg)
{
    struct loader t = {.load = arg};
    struct error err;

    t.buffer = aligned_alloc(RAM_PAGE_SIZE, BUFFER_SIZE); /* O_DIRECT needs aligned memory */
    int rc = t.buffer ? load_stripes(&t, &err) : err_sys(&err, "memory for pages");
    if (rc < 0)
        fail(t.load, &err);
    free(t.buffer);
    return NULL;
}

/* The calling thread is one of the `n_threads`. If some cannot be started, fewer do the work. */
static int load_all(struct load *l, unsigned n_threads, struct error *err)
{
    struct thread threads[THREADS_MAX];
    struct error ignored;
    unsigned n = 0;

    while (n + 1 < MIN(n_threads, THREADS_MAX) &&
           thread_start(&threads[n], load_main, l, &ignored, "load-%u", n) == 0)
        n++;
    load_main(l);
    while (n > 0)
        thread_join(&threads[--n]);
    if (!l->failed)
        return 0;
    *err = l->err;
    return -1;
}

int mapped_file_load(const struct mapped_file *f, const struct ram_map *map,
                     struct file_mapping *mapping, unsigned n_threads, const struct cancel *cancel,
                     struct error *err)
{
    struct load l = {.file = f, .map = map, .cancel = cancel};

    if (ram_round_init(&l.round, map, false, NULL, err) < 0)
        return -1;
    pthread_mutex_init(&l.lock, NULL);
    int rc = read_bitmaps(&l, err);
    if (rc == 0 && mapping)
        map_blocks(&l, mapping);
    if (rc == 0)
        rc = load_all(&l, n_threads, err);
    pthread_mutex_destroy(&l.lock);
    ram_round_done(&l.round);
    return rc;
}
