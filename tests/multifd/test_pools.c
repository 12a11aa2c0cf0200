/* send_pool and recv_pool against each other: every page arrives, whatever the number of channels
 * and the method. */
#include <sys/mman.h>
#include <unistd.h>

#include "ram/page_place.h"
#include "tests/support/memory.h"
#include "tests/support/methods.h"
#include "tests/support/pools.h"
#include "tests/support/test.h"
#include "transport/fd_channel.h"

static void start(struct pools *w, size_t n, unsigned n_expected, bool zeros_on_main,
                  enum codec_method method, int level)
{
    struct pools_config config = {n, n_expected, zeros_on_main, method, level};

    pools_init(w);
    memory_add(&w->from, "pc.ram", 3000, false);
    memory_add(&w->from, "pc.bios", 64, false);
    memory_add(&w->from, "vga", 513, false);
    pools_start(w, &config);
}

/* Applies the zero pages, which the main stream would carry. */
static void apply_zeros(struct pools *w)
{
    for (size_t i = 0; w->round.zeros && i < w->from.n; i++) {
        for (uint64_t word = 0; word < dirty_bitmap_words(&w->round.zeros[i]); word++) {
            for (uint64_t bits = dirty_bitmap_take(&w->round.zeros[i], word); bits;
                 bits &= bits - 1) {
                uint64_t page = word * 64 + (unsigned)__builtin_ctzll(bits);
                struct error err;

                OK(page_place_zero(&w->to.blocks[i], page << RAM_PAGE_BITS, &err), err, "zero");
            }
        }
    }
}

/* Rounds over changing memory: pages get contents, other contents, and become zero again. */
static void rounds(struct pools *w, const char *label)
{
    struct error err;

    for (unsigned round = 1; round <= 4; round++) {
        struct ram_block *b = &w->from.blocks[0];

        if (round == 1) {
            for (size_t i = 0; i < w->from.n; i++)
                memory_fill(&w->from.blocks[i], (unsigned)i, true);
            round_set_all(&w->round);
        }
        for (uint64_t page = round; round > 1 && page < 3000; page += 7 * round) {
            memset(b->host + (page << RAM_PAGE_BITS), page % 2 ? (int)round : 0, RAM_PAGE_SIZE);
            dirty_bitmap_set(&w->round.dirty[0], page);
        }
        pools_send(w, &w->round, label);
        apply_zeros(w);
        OK(recv_pool_flush(w->pool, &err), err, label);
        memory_check_equal(label, &w->from, &w->to);
    }
}

static const struct pool_case {
    const char *label;
    size_t n;
    bool zeros_on_main;
    enum codec_method method;
    int level;
} pool_cases[] = {
    {"1 channel", 1, false, CODEC_NONE, 0},
    {"2 channels", 2, false, CODEC_NONE, 0},
    {"7 channels", 7, false, CODEC_NONE, 0},
    {"16 channels", 16, false, CODEC_NONE, 0},
    {"1 channel, zeros on main", 1, true, CODEC_NONE, 0},
    {"7 channels, zeros on main", 7, true, CODEC_NONE, 0},
    {"1 channel, zlib", 1, false, CODEC_ZLIB, 1},
    {"3 channels, zlib 0, zeros on main", 3, true, CODEC_ZLIB, 0},
    {"16 channels, zlib 6", 16, false, CODEC_ZLIB, 6},
    {"1 channel, zstd", 1, false, CODEC_ZSTD, -1},
    {"3 channels, zstd 3, zeros on main", 3, true, CODEC_ZSTD, 3},
    {"16 channels, zstd -20", 16, false, CODEC_ZSTD, -20},
};

static void every_page_arrives(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pool_cases); i++) {
        const struct pool_case *c = &pool_cases[i];
        struct pools w;
        struct error err;

        if (!method_is_here(c->label, c->method))
            continue;
        start(&w, c->n, (unsigned)c->n, c->zeros_on_main, c->method, c->level);
        for (size_t k = 0; k < c->n; k++)
            pools_receive(&w, k);
        pools_send(&w, NULL, c->label); /* the setup's barrier */
        OK(recv_pool_complete(w.pool, true, NULL, &err), err, c->label);
        recv_pool_open(w.pool, &w.to, NULL);
        OK(recv_pool_flush(w.pool, &err), err, c->label);
        rounds(&w, c->label);
        pools_finish(&w, c->label);
    }
}

/* The main stream's first flush is over before a channel has joined: nothing was missed. */
static void late_channels_are_in_order(void **state)
{
    struct pools w;
    struct error err;

    (void)state;
    start(&w, 3, 0, false, CODEC_NONE, 0); /* the number of channels to come is unknown */
    pools_send(&w, NULL, "late");
    OK(recv_pool_flush(w.pool, &err), err, "late");
    recv_pool_open(w.pool, &w.to, NULL);
    for (size_t k = 0; k < 3; k++)
        pools_receive(&w, k);
    OK(recv_pool_complete(w.pool, true, NULL, &err), err, "late");
    rounds(&w, "late");
    pools_finish(&w, "late");
}

/* The receiver ends in a round that fills all buffers: the sink fails, and fails again. */
static void a_dead_peer_fails_the_round(void **state)
{
    struct pools w;
    struct error err;

    (void)state;
    start(&w, 4, 4, false, CODEC_NONE, 0);
    for (size_t i = 0; i < w.from.n; i++)
        memory_fill(&w.from.blocks[i], 1, false);
    round_set_all(&w.round);
    ram_round_restart(&w.round);
    channel_group_drop(&w.in, w.ends[2]);
    check_refused("round", w.sink->ops->round(w.sink, &w.round, true, &err), &err, ERR_SYSTEM,
                  "channel 2: send");
    check_refused("next round", w.sink->ops->round(w.sink, NULL, true, &err), &err, ERR_SYSTEM,
                  "channel 2: send");
    w.sink->ops->free(w.sink);
    for (size_t i = 0; i < w.n; i++) {
        if (i != 2)
            channel_free(w.ends[i]);
    }
    pools_done(&w);
}

static _Atomic unsigned n_from_file;

static int count_send_file(struct channel *c, int fd, uint64_t offset, size_t len,
                           struct error *err)
{
    n_from_file++;
    return fd_channel_send_file(c, fd, offset, len, err);
}

#define FILE_AT RAM_PAGE_SIZE /* where the block's bytes begin in it */

/* From here on the block's bytes are in a file. */
static int into_file(struct ram_block *b)
{
    int fd = memfd_create("pages", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, b->host, b->used_bytes, FILE_AT), (ssize_t)b->used_bytes);
    b->fd = fd;
    b->fd_offset = FILE_AT;
    return fd;
}

static const struct file_case {
    const char *label;
    bool local, zeros, sparse, absent, zeros_on_main;
    enum codec_method method;
    bool by_sendfile;
} file_cases[] = {
    {"local, whole", .local = true},
    {"remote, whole", .by_sendfile = true},
    {"remote, in many pieces", .zeros = true},
    {"local, zeros", .local = true, .zeros = true},
    {"local, runs and single pages", .local = true, .zeros = true, .sparse = true},
    {"local, absent pages", .local = true, .zeros = true, .absent = true},
    {"local, zeros on main", .local = true, .zeros = true, .zeros_on_main = true},
    {"local, all of it, zeros on main", true, true, true, true, true, CODEC_NONE, false},
    {"local, zlib", true, true, true, true, false, CODEC_ZLIB, false},
    {"remote, zstd", false, true, true, true, true, CODEC_ZSTD, false},
};

/*
 * Not dirty: two of three zero pages, up to page 1000. Absent: the zero pages from 2000 on, where
 * the file still holds what was there before.
 */
static void prepare_file(struct pools *w, const struct file_case *c)
{
    struct ram_block *b = &w->from.blocks[0];
    struct error err;

    memory_fill(b, 1, c->zeros);
    int fd = into_file(b);
    if (c->absent)
        OK(ram_block_track(b, &err), err, c->label);
    for (uint64_t page = 0; page < ram_block_pages(b); page++) {
        bool zero = c->zeros && page % 3 == 1;

        if (!(c->sparse && zero && page < 1000 && page % 9 != 1))
            dirty_bitmap_set(&w->round.dirty[0], page);
        if (c->absent && zero && page >= 2000)
            assert_int_equal(pwrite(fd, "stale", 5, (off_t)(FILE_AT + page * RAM_PAGE_SIZE)), 5);
        else if (c->absent)
            ram_mark_present(b, page * RAM_PAGE_SIZE, RAM_PAGE_SIZE);
    }
}

static void pages_of_a_file_arrive(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(file_cases); i++) {
        const struct file_case *c = &file_cases[i];
        struct channel_ops counting;
        struct pools w;
        struct error err;

        if (!method_is_here(c->label, c->method))
            continue;
        start(&w, 1, 1, c->zeros_on_main, c->method, 1);
        counting = *w.senders[0]->ops;
        counting.send_file = count_send_file;
        w.senders[0]->ops = &counting;
        w.senders[0]->local = c->local;
        n_from_file = 0;
        prepare_file(&w, c);
        pools_receive(&w, 0);
        OK(recv_pool_complete(w.pool, true, NULL, &err), err, c->label);
        recv_pool_open(w.pool, &w.to, NULL);
        pools_send(&w, &w.round, c->label);
        apply_zeros(&w);
        OK(recv_pool_flush(w.pool, &err), err, c->label);
        memory_check_equal(c->label, &w.from, &w.to);
        CHECK((n_from_file > 0) == c->by_sendfile, "%s: %u pieces by sendfile", c->label,
              n_from_file);
        close(w.from.blocks[0].fd);
        pools_finish(&w, c->label);
    }
}

static void a_cut_file_fails_the_round(void **state)
{
    struct file_case c = {"cut", .local = true};
    struct pools w;
    struct error err;

    (void)state;
    start(&w, 1, 1, false, CODEC_NONE, 0);
    prepare_file(&w, &c);
    assert_int_equal(ftruncate(w.from.blocks[0].fd, FILE_AT + 100 * RAM_PAGE_SIZE), 0);
    ram_round_restart(&w.round);
    check_refused("round", w.sink->ops->round(w.sink, &w.round, true, &err), &err, ERR_PEER,
                  "its file ends at byte 413696: it was cut");
    w.sink->ops->free(w.sink);
    channel_free(w.ends[0]);
    close(w.from.blocks[0].fd);
    pools_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_arrives),          cmocka_unit_test(late_channels_are_in_order),
        cmocka_unit_test(pages_of_a_file_arrive),      cmocka_unit_test(a_cut_file_fails_the_round),
        cmocka_unit_test(a_dead_peer_fails_the_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
