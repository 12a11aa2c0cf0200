#include "multifd/file_pool.h"

#include <inttypes.h>
#include <stdlib.h>

#include "compress/codec.h"
#include "multifd/crew.h"
#include "ram/page_reader.h"
#include "ram/zero_page.h"
#include "transport/file_channel.h"

#define PREFETCH_PAGES 4

/* Of one call: more is not faster, and keeps a cancel waiting. */
#define PIECE_PAGES 256

struct file_writer {
    /* Set before the thread starts, read-only after. */
    struct channel *channel;

    /* The thread's alone. */
    const struct ram_block *block; /* of the stripe */
    uint64_t pages_offset;         /* where its first page is in the file */
    struct dirty_bitmap *written;
    bool is_read; /* its pages stand still in a file, and are read from there */
    struct page_reader reader;
    uint64_t first; /* page of the piece that is collected: neighbours in the file and in memory */
    size_t n;
    const uint8_t *bytes;

    /* Written by the thread, read by any. */
    struct channel_stats stats;
};

struct file_pool {
    struct page_sink base;
    struct channel_group *group;
    struct crew crew; /* not started: there are no threads */
    const struct mapped_ram *mapped;
    struct dirty_bitmap *written;
    bool threads;
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
    dirty_bitmap_set_range(w->written, w->first, w->first + n);
    count(&w->stats.packets, 1);
    count(&w->stats.normal, n);
    return 0;
}

/* Neighbours lie together in memory, too: a reader's buffer is written before it is filled again.
 */
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

/* --- stripes ---------------------------------------------------------------------------------- */

/* The page's bytes, read together with what follows it where that is dirty too. */
static int read_page(struct file_writer *w, const struct stripe *s,
                     const uint64_t words[STRIPE_WORDS], uint64_t page, const uint8_t **ret,
                     struct error *err)
{
    *ret = page_reader_find(&w->reader, page);
    if (*ret)
        return 0;
    if (write_piece(w, err) < 0) /* its bytes are in the buffer */
        return -1;
    page_reader_clear(&w->reader);
    size_t n = stripe_run_length(s, words, w->block, page, page_reader_room(&w->reader));
    if (page_reader_read(&w->reader, w->block, page, n, err) < 0)
        return -1;
    *ret = page_reader_find(&w->reader, page);
    return 0;
}

/* *ret is NULL where the page is known to be zero. */
static int find_page(struct file_writer *w, const struct stripe *s,
                     const uint64_t words[STRIPE_WORDS], uint64_t page, const uint8_t **ret,
                     struct error *err)
{
    const struct ram_block *b = w->block;

    *ret = NULL;
    if (b->present && !ram_page_present(b, page))
        return 0;
    if (w->is_read)
        return read_page(w, s, words, page, ret, err);
    *ret = b->host + (page << RAM_PAGE_BITS);
    __builtin_prefetch(*ret + PREFETCH_PAGES * RAM_PAGE_SIZE);
    return 0;
}

static int write_page(struct file_writer *w, uint64_t page, const uint8_t *bytes, struct error *err)
{
    if (bytes && !zero_page(bytes))
        return add_page(w, page, bytes, err);
    dirty_bitmap_clear(w->written, page);
    count(&w->stats.zero, 1);
    return 0;
}

static int write_stripe(struct file_writer *w, const struct stripe *s,
                        const uint64_t words[STRIPE_WORDS], struct error *err)
{
    for (unsigned i = 0; i < STRIPE_WORDS; i++) {
        for (uint64_t bits = words[i]; bits; bits &= bits - 1) {
            uint64_t page = s->first_page + i * 64 + (unsigned)__builtin_ctzll(bits);
            const uint8_t *bytes;

            if (find_page(w, s, words, page, &bytes, err) < 0 ||
                write_page(w, page, bytes, err) < 0)
                return -1;
        }
    }
    return write_piece(w, err);
}

static void select_block(const struct file_pool *pool, struct file_writer *w,
                         const struct ram_round *round, size_t block)
{
    const struct ram_block *b = &round->map->blocks[block];

    if (w->block == b)
        return;
    page_reader_clear(&w->reader);
    w->block = b;
    w->pages_offset = pool->mapped[block].pages_offset;
    w->written = &pool->written[block];
    w->is_read = b->fd >= 0 && !round->source;
}

static int write_round(const struct file_pool *pool, struct file_writer *w, struct ram_round *round,
                       struct error *err)
{
    struct stripe s;

    while (stripe_claim(round, &s)) {
        uint64_t words[STRIPE_WORDS];
        bool any;

        if (stripe_take(round, &s, words, &any, err) < 0)
            return -1;
        select_block(pool, w, round, s.block);
        if (any && write_stripe(w, &s, words, err) < 0)
            return -1;
    }
    return 0;
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

static const struct crew_ops crew_ops = {.work = work, .waited = waited};

/* --- the sink --------------------------------------------------------------------------------- */

/* What the round's end waits for has been written: `barrier` asks for nothing more. */
static int pool_round(struct page_sink *sink, struct ram_round *round, bool barrier,
                      struct error *err)
{
    struct file_pool *pool = (struct file_pool *)sink;

    (void)barrier;
    if (!round)
        return 0;
    if (!pool->threads)
        return write_round(pool, &pool->writers[0], round, err);
    return crew_carry_out(&pool->crew, round, err);
}

static void pool_free(struct page_sink *sink)
{
    struct file_pool *pool = (struct file_pool *)sink;

    if (!pool)
        return;
    crew_stop(&pool->crew);
    for (size_t i = 0; i < pool->n; i++) {
        channel_group_drop(pool->group, pool->writers[i].channel);
        page_reader_done(&pool->writers[i].reader);
    }
    free(pool);
}

static const struct page_sink_ops pool_ops = {.round = pool_round, .free = pool_free};

int file_pool_new(const struct file_pool_config *config, struct page_sink **ret, struct error *err)
{
    struct file_pool *pool = calloc(1, sizeof(*pool) + config->n * sizeof(pool->writers[0]));

    if (!pool) {
        for (size_t i = 0; i < config->n; i++)
            channel_group_drop(config->group, config->channels[i]);
        return err_sys(err, "memory for %zu channels", config->n);
    }
    struct crew_config crew = {
        .ops = &crew_ops,
        .group = config->group,
        .arg = pool,
        .places = config->places,
        .n = config->n,
    };
    pool->base.ops = &pool_ops;
    pool->group = config->group;
    pool->mapped = config->mapped;
    pool->written = config->written;
    pool->threads = config->threads;
    pool->n = config->n;
    for (size_t i = 0; i < config->n; i++)
        pool->writers[i].channel = config->channels[i];
    if (pool->threads && crew_start(&pool->crew, &crew, err) < 0) {
        pool_free(&pool->base);
        return -1;
    }
    *ret = &pool->base;
    return 0;
}

const struct channel_stats *file_pool_stats(const struct page_sink *sink, size_t i,
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
