/* A guest that writes its pages while they are packed never breaks a stream. */
#include "tests/support/memory.h"
#include "tests/support/methods.h"
#include "tests/support/pages.h"
#include "tests/support/pools.h"
#include "tests/support/test.h"

#define ROUNDS    1000
#define BLOCKS    8 /* a stripe each: every channel has something to do */
#define RAM_PAGES 8 /* in each block */
#define WRITERS   2

/* The guest writes while the sender reads: a migration works like that, so TSan must not report
 * it. */
#define GUEST __attribute__((no_sanitize("thread")))

struct writer {
    const struct ram_map *ram;
    atomic_bool *stop;
    uint64_t random;
    uint64_t pages; /* written */
    pthread_t thread;
};

/* Random numbers made here: a function that TSan watches would slow the guest down. */
GUEST static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Writes every page over and over: noise, a few words, or zeros. Volatile: else the compiler would
 * call a function that a sanitizer watches. */
GUEST static void *write_pages(void *arg)
{
    struct writer *w = arg;

    for (; !atomic_load_explicit(w->stop, memory_order_relaxed); w->pages++) {
        uint64_t r = next(&w->random), step = r >> 8 & 1 ? 1 : 61;
        const struct ram_block *b = &w->ram->blocks[w->pages % BLOCKS];
        volatile uint64_t *words =
            (volatile uint64_t *)(b->host + w->pages / BLOCKS % RAM_PAGES * RAM_PAGE_SIZE);

        for (size_t i = r >> 16 & 63; i < RAM_PAGE_SIZE / sizeof(*words); i += step)
            words[i] = r >> 9 & 1 ? next(&w->random) : r >> 10 & 1 ? r & 0xff : 0;
    }
    return NULL;
}

static const struct writing_case {
    const char *label;
    enum codec_method method;
    int level;
} writing_cases[] = {
    {"none", CODEC_NONE, 0},
    {"zlib 1", CODEC_ZLIB, 1},
    {"zlib 3", CODEC_ZLIB, 3},
    {"zstd -1", CODEC_ZSTD, -1},
};
static const size_t channel_counts[] = {1, 2, 7};

static void start_writers(struct writer writers[static WRITERS], const struct ram_map *ram,
                          atomic_bool *stop)
{
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.ram = ram, .stop = stop, .random = i + 1};
        pthread_create(&writers[i].thread, NULL, write_pages, &writers[i]);
    }
}

static void stop_writers(struct writer writers[static WRITERS], atomic_bool *stop,
                         const char *label)
{
    *stop = true;
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        CHECK(writers[i].pages > BLOCKS * RAM_PAGES, "%s: writer %zu wrote %llu pages only", label,
              i, (unsigned long long)writers[i].pages);
    }
}

static void one_round(struct pools *p, const char *label)
{
    struct error err;

    round_set_all(&p->round);
    pools_send(p, &p->round, label);
    OK(recv_pool_flush(p->pool, &err), err, label);
}

static void run(const struct writing_case *c, size_t n)
{
    struct pools_config config = {
        .n = n,
        .n_expected = (unsigned)n, /* else a channel that is late would be refused */
        .method = c->method,
        .level = c->level,
    };
    struct writer writers[WRITERS];
    atomic_bool stop = false;
    struct error err;
    struct pools p;
    char label[64];

    snprintf(label, sizeof(label), "%s, %zu channels", c->label, n);
    pools_init(&p);
    for (unsigned i = 0; i < BLOCKS; i++) {
        char name[] = {'m', (char)('0' + i), 0};

        pages_fill(memory_add(&p.from, name, RAM_PAGES, false)->host, RAM_PAGES, PAGES_MIXED, i);
    }
    pools_start(&p, &config);
    for (size_t i = 0; i < n; i++)
        pools_receive(&p, i);
    pools_send(&p, NULL, label);
    OK(recv_pool_complete(p.pool, true, NULL, &err), err, label);
    recv_pool_open(p.pool, &p.to, NULL);
    OK(recv_pool_flush(p.pool, &err), err, label);

    start_writers(writers, &p.from, &stop);
    for (unsigned round = 0; round < ROUNDS; round++)
        one_round(&p, label);
    stop_writers(writers, &stop, label);
    one_round(&p, label);
    memory_check_equal(label, &p.from, &p.to);
    pools_finish(&p, label);
}

static void every_round_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(writing_cases); i++) {
        if (!method_is_here(writing_cases[i].label, writing_cases[i].method))
            continue;
        for (size_t k = 0; k < ARRAY_LEN(channel_counts); k++)
            run(&writing_cases[i], channel_counts[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_round_is_whole)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
