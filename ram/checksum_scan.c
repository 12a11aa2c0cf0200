#include "ram/checksum_scan.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/thread.h"

#define THREADS_MAX 64

/* What the threads share. */
struct scan {
    const struct checksum_scan_config *config;
    const struct checksum_table *table;
    struct checksum_scan_counts *counts;
    uint64_t **bitmaps;      /* one per block; their words are in the host's order */
    uint64_t *first_piece;   /* of each block, and how many there are */
    _Atomic uint64_t cursor; /* the next piece to be claimed */

    pthread_mutex_t lock;
    atomic_bool failed; /* set under the lock, together with `err` */
    struct error err;
};

/* What one thread has. */
struct scanner {
    struct scan *scan;
    uint8_t *buffer; /* of a piece */
    uint64_t sums[STRIPE_PAGES];
};

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

uint64_t checksums_n_pieces(const struct checksums *c)
{
    uint64_t n = 0;

    for (size_t i = 0; i < c->table.n_blocks; i++)
        n += checksum_n_pieces(c->table.blocks[i].used_bytes);
    return n;
}

/* 0, or an errno; ENODATA: the file ends before. */
static int read_whole(int fd, void *to, size_t len, uint64_t offset)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENODATA;
        done += (size_t)n;
    }
    return 0;
}

static void tell(struct scan *s, const struct checksum_damage *d)
{
    count(&s->counts->damaged, 1);
    pthread_mutex_lock(&s->lock);
    s->config->damaged(s->config->arg, d);
    pthread_mutex_unlock(&s->lock);
}

/* --- what is not pages ----------------------------------------------------------------------- */

static int scan_part(struct scan *s, size_t i, bool *ret_same, struct error *err)
{
    const struct checksums *c = s->config->checksums;
    uint64_t at = c->start + checksum_part_start(s->table, i);
    struct checksum_damage d = {
        .part = i, .first = at, .last = at + checksum_part_bytes(s->table, i) - 1};

    if (checksums_part(s->config->fd, c, i, ret_same, d.found, err) < 0) {
        if (!err->sys)
            return -1;
        d.sys = err->sys;
        *ret_same = false;
    }
    memcpy(d.expected, checksum_part_sum(s->table, i), CHECKSUM_LEN);
    if (!*ret_same)
        tell(s, &d);
    return 0;
}

static int scan_parts(struct scan *s, struct error *err)
{
    size_t n = s->table->n_blocks;
    bool first = true, same;

    for (size_t i = 0; i <= n; i++) {
        if (cancel_requested(s->config->cancel))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (scan_part(s, i, &same, err) < 0)
            return -1;
        if (i == 0)
            first = same;
    }
    atomic_store(&s->counts->stale, n > 0 && !first && !same);
    return 0;
}

/* --- pieces ---------------------------------------------------------------------------------- */

static int read_bitmap(struct scan *s, size_t i, struct error *err)
{
    const struct checksum_block *b = &s->table->blocks[i];
    size_t n = (size_t)((b->used_bytes >> RAM_PAGE_BITS) + 63) / 64;
    uint64_t *words = calloc(n, sizeof(*words));

    if (!words)
        return err_sys(err, "RAM block '%s': memory for its bitmap", b->name);
    s->bitmaps[i] = words;
    errno = read_whole(s->config->fd, words, n * sizeof(*words),
                       s->config->checksums->start + b->bitmap_offset);
    if (errno)
        return err_sys(err, "RAM block '%s': reading its bitmap", b->name);
    for (size_t w = 0; w < n; w++)
        words[w] = le64toh(words[w]);
    return 0;
}

static int prepare(struct scan *s, struct error *err)
{
    size_t n = s->table->n_blocks;

    s->bitmaps = calloc(MAX(n, (size_t)1), sizeof(*s->bitmaps));
    s->first_piece = calloc(n + 1, sizeof(*s->first_piece));
    if (!s->bitmaps || !s->first_piece)
        return err_sys(err, "memory for a check");
    for (size_t i = 0; i < n; i++) {
        s->first_piece[i + 1] =
            s->first_piece[i] + checksum_n_pieces(s->table->blocks[i].used_bytes);
        if (read_bitmap(s, i, err) < 0)
            return -1;
    }
    return 0;
}

static bool has(const uint64_t *bitmap, uint64_t page)
{
    return bitmap[page / 64] >> page % 64 & 1;
}

/* 0, or an errno. */
static int sum_run(struct scanner *t, const struct checksum_block *b, uint64_t first, unsigned at,
                   unsigned n)
{
    const struct checksum_scan_config *c = t->scan->config;
    uint64_t offset = c->checksums->start + b->pages_offset + ((first + at) << RAM_PAGE_BITS);
    bool direct = c->direct_fd >= 0 && IS_ALIGNED(offset, (uint64_t)RAM_PAGE_SIZE);
    int sys =
        read_whole(direct ? c->direct_fd : c->fd, t->buffer, (size_t)n << RAM_PAGE_BITS, offset);

    for (unsigned i = 0; sys == 0 && i < n; i++)
        t->sums[at + i] = checksum_page(t->buffer + (size_t)i * RAM_PAGE_SIZE);
    count(&t->scan->counts->pages, n);
    return sys;
}

/* Sums up what the file has of a piece; *ret_any: it has a page. 0, or an errno. */
static int sum_piece(struct scanner *t, size_t block, uint64_t first, unsigned n, bool *ret_any)
{
    const uint64_t *bitmap = t->scan->bitmaps[block];
    int sys = 0;

    memset(t->sums, 0, sizeof(t->sums));
    *ret_any = false;
    for (unsigned at = 0, end; sys == 0 && at < n; at = end + 1) {
        for (end = at; end < n && has(bitmap, first + end);)
            end++;
        if (end == at)
            continue;
        *ret_any = true;
        sys = sum_run(t, &t->scan->table->blocks[block], first, at, end - at);
    }
    return sys;
}

static void scan_piece(struct scanner *t, size_t block, uint64_t piece)
{
    const struct checksum_block *b = &t->scan->table->blocks[block];
    uint64_t first = piece * STRIPE_PAGES, pages = b->used_bytes >> RAM_PAGE_BITS;
    unsigned n = (unsigned)MIN(pages - first, (uint64_t)STRIPE_PAGES);
    struct checksum_damage d = {
        .block = b, .first = first << RAM_PAGE_BITS, .last = ((first + n) << RAM_PAGE_BITS) - 1};
    bool any;

    memcpy(d.expected, b->pieces + piece * CHECKSUM_LEN, CHECKSUM_LEN);
    d.sys = sum_piece(t, block, first, n, &any);
    checksum_piece(t->sums, n, d.found);
    count(&t->scan->counts->pieces, 1);
    if (!any)
        count(&t->scan->counts->empty, 1);
    if (d.sys || memcmp(d.expected, d.found, CHECKSUM_LEN) != 0)
        tell(t->scan, &d);
}

/* --- threads --------------------------------------------------------------------------------- */

static void fail(struct scan *s, const struct error *err)
{
    pthread_mutex_lock(&s->lock);
    if (!s->failed)
        s->err = *err;
    atomic_store_explicit(&s->failed, true, memory_order_relaxed);
    pthread_mutex_unlock(&s->lock);
}

static int scan_pieces(struct scanner *t, struct error *err)
{
    struct scan *s = t->scan;
    size_t n = s->table->n_blocks, block = 0;

    while (!atomic_load_explicit(&s->failed, memory_order_relaxed)) {
        uint64_t piece = atomic_fetch_add_explicit(&s->cursor, 1, memory_order_relaxed);

        if (piece >= s->first_piece[n])
            return 0;
        if (cancel_requested(s->config->cancel))
            return err_set(err, ERR_CANCELLED, "cancelled");
        while (piece >= s->first_piece[block + 1])
            block++;
        scan_piece(t, block, piece - s->first_piece[block]);
    }
    return 0;
}

static void *scan_main(void *arg)
{
    struct scanner t = {.scan = arg};
    struct error err;

    t.buffer = aligned_alloc(RAM_PAGE_SIZE, CHECKSUM_PIECE_BYTES); /* O_DIRECT needs it aligned */
    int rc = t.buffer ? scan_pieces(&t, &err) : err_sys(&err, "memory for pages");
    if (rc < 0)
        fail(t.scan, &err);
    free(t.buffer);
    return NULL;
}

/* The calling thread is one of them. If some cannot be started, fewer do the work. */
static int scan_all(struct scan *s, struct error *err)
{
    struct thread threads[THREADS_MAX];
    struct error ignored;
    unsigned n = 0;

    while (n + 1 < MIN(s->config->n_threads, THREADS_MAX) &&
           thread_start(&threads[n], scan_main, s, &ignored, "verify-%u", n) == 0)
        n++;
    scan_main(s);
    while (n > 0)
        thread_join(&threads[--n]);
    if (!s->failed)
        return 0;
    *err = s->err;
    return -1;
}

int checksum_scan(const struct checksum_scan_config *config, struct checksum_scan_counts *counts,
                  struct error *err)
{
    struct scan s = {.config = config, .table = &config->checksums->table, .counts = counts};

    pthread_mutex_init(&s.lock, NULL);
    int rc = scan_parts(&s, err);
    if (rc == 0 && !atomic_load(&counts->stale)) {
        rc = prepare(&s, err);
        if (rc == 0)
            rc = scan_all(&s, err);
    }
    for (size_t i = 0; s.bitmaps && i < s.table->n_blocks; i++)
        free(s.bitmaps[i]);
    free(s.bitmaps);
    free(s.first_piece);
    pthread_mutex_destroy(&s.lock);
    return rc;
}
