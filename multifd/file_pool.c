#include "multifd/file_pool.h"

#include <inttypes.h>
#include <stdlib.h>

#include "compress/codec.h"
#include "multifd/worker_pool.h"
#include "ram/checksum.h"
#include "ram/page_walk.h"
#include "transport/file_channel.h"

/* The limit of one write: more is not faster, and delays a cancel. */
#define PIECE_PAGES 256

struct file_writer {
    /* Set before the thread starts, read-only after. */
    struct channel *channel;

    /* The thread's alone. */
    struct page_walk walk;
    const struct ram_block *block; /* of the piece */
    uint64_t pages_offset;         /* where its first page is in the file */
    struct dirty_bitmap *written;
    _Atomic uint64_t *sums; /* NULL: not wanted */
    uint64_t first; /* page of the piece, whose pages are contiguous in the file and in memory */
    size_t n;       /* pages in the piece */
    const uint8_t *bytes;

    /* Written by the thread, read by any. */
    struct channel_stats stats;
};

struct file_pool {
    struct page_sink base;
    struct channel_group *group;
    struct worker_pool workers; /* not started if there are no threads */
    const struct mapped_ram *mapped;
    struct dirty_bitmap *written;
    _Atomic uint64_t **sums;
    size_t n;
    struct file_writer writers[];
};

/* --- pieces ----------------------------------------------------------------------------------- */

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static int write_piece(struct file_writer *w, struct error *err)
{
    size_t n = w->n;

    if (n == 0)
        return 0;
    w->n = 0;
    file_channel_seek(w->channel, w->pages_offset + (w->first << RAM_PAGE_BITS));
    if (channel_send(w->channel, w->bytes, n << RAM_PAGE_BITS, 0, err) < 0)
        return err_in(err, "RAM block '%s': page %" PRIu64, w->block->name, w->first);
    /* A guest that writes a page meanwhile makes it dirty: it is written and summed up again. */
    if (w->sums)
        checksum_pages_note(w->sums, w->first, w->bytes, n);
    dirty_bitmap_set_range(w->written, w->first, w->first + n);
    count(&w->stats.packets, 1);
    count(&w->stats.normal, n);
    return 0;
}

/* Pages that follow each other in the file do so in memory, too: the reader's buffer is written
 * before it is filled again. */
static int add_page(struct file_writer *w, uint64_t page, const uint8_t *bytes, struct error *err)
{
    if (page != w->first + w->n || w->n == PIECE_PAGES) {
        if (write_piece(w, err) < 0)
            return -1;
    }
    if (w->n == 0) {
        w->first = page;
        w->bytes = bytes;
    }
    w->n++;
    return 0;
}

/* --- rounds ----------------------------------------------------------------------------------- */

static int take_page(struct file_writer *w, const struct walked_page *page, struct error *err)
{
    if (page->bytes)
        return add_page(w, page->page, page->bytes, err);
    dirty_bitmap_clear(w->written, page->page);
    count(&w->stats.zero, 1);
    return 0;
}

static void select_block(const struct file_pool *pool, struct file_writer *w)
{
    size_t i = w->walk.stripe.block;

    w->block = w->walk.block;
    w->pages_offset = pool->mapped[i].pages_offset;
    w->written = &pool->written[i];
    w->sums = pool->sums ? pool->sums[i] : NULL;
}

static int write_round(const struct file_pool *pool, struct file_writer *w, struct ram_round *round,
                       struct error *err)
{
    struct walked_page page;
    int event, rc = 0;

    page_walk_start(&w->walk, round, PAGE_WALK_READS | PAGE_WALK_PIECES);
    while ((event = page_walk_next(&w->walk, &page, err)) > PAGE_WALK_END) {
        rc = event == PAGE_WALK_PAGE ? take_page(w, &page, err) : write_piece(w, err);
        if (rc < 0)
            return -1;
        if (event == PAGE_WALK_CUT)
            select_block(pool, w);
    }
    return event;
}

/* --- threads ---------------------------------------------------------------------------------- */

/* The order is the round. */
static int work(void *arg, size_t i, void *order, struct error *err)
{
    struct file_pool *pool = arg;

    return write_round(pool, &pool->writers[i], order, err);
}

static void waited(void *arg, size_t i, uint64_t ns)
{
    count(&((struct file_pool *)arg)->writers[i].stats.wait_ns, ns);
}

static const struct worker_pool_ops worker_pool_ops = {.work = work, .waited = waited};

/* --- the sink --------------------------------------------------------------------------------- */

/* At the round's end all its pages have been written: `barrier` needs nothing more. */
static int pool_round(struct page_sink *sink, struct ram_round *round, bool barrier,
                      struct error *err)
{
    struct file_pool *pool = (struct file_pool *)sink;

    (void)barrier;
    if (!round)
        return 0;
    if (pool->base.n_channels == 0)
        return write_round(pool, &pool->writers[0], round, err);
    return worker_pool_carry_out(&pool->workers, round, err);
}

static void pool_free(struct page_sink *sink)
{
    struct file_pool *pool = (struct file_pool *)sink;

    if (!pool)
        return;
    worker_pool_stop(&pool->workers);
    for (size_t i = 0; i < pool->n; i++) {
        channel_group_drop(pool->group, pool->writers[i].channel);
        page_walk_done(&pool->writers[i].walk);
    }
    free(pool);
}

/* `packets` counts write calls. */
static const struct channel_stats *pool_stats(const struct page_sink *sink, size_t i,
                                              struct channel_traffic *ret)
{
    const struct file_pool *pool = (const struct file_pool *)sink;
    const struct file_writer *w = &pool->writers[i];

    *ret = (struct channel_traffic){
        .bytes = atomic_load_explicit(&w->channel->bytes_sent, memory_order_relaxed),
        .method = CODEC_NONE,
    };
    return &w->stats;
}

static const struct page_sink_ops pool_ops = {
    .round = pool_round, .stats = pool_stats, .free = pool_free};

int file_pool_new(const struct file_pool_config *config, struct page_sink **ret, struct error *err)
{
    struct file_pool *pool = calloc(1, sizeof(*pool) + config->n * sizeof(pool->writers[0]));

    if (!pool) {
        for (size_t i = 0; i < config->n; i++)
            channel_group_drop(config->group, config->channels[i]);
        return err_sys(err, "memory for %zu channels", config->n);
    }
    struct worker_pool_config workers = {
        .ops = &worker_pool_ops,
        .name = "write",
        .group = config->group,
        .arg = pool,
        .places = config->places,
        .n = config->n,
    };
    pool->base.ops = &pool_ops;
    pool->base.n_channels = config->threads ? config->n : 0;
    pool->group = config->group;
    pool->mapped = config->mapped;
    pool->written = config->written;
    pool->sums = config->sums;
    pool->n = config->n;
    for (size_t i = 0; i < config->n; i++)
        pool->writers[i].channel = config->channels[i];
    if (config->threads && worker_pool_start(&pool->workers, &workers, err) < 0) {
        pool_free(&pool->base);
        return -1;
    }
    *ret = &pool->base;
    return 0;
}
