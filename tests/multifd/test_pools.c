/* send_pool and recv_pool against each other: every page arrives, whatever the number of channels.
 */
#include <pthread.h>

#include "multifd/recv_pool.h"
#include "multifd/send_pool.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/memory.h"
#include "tests/support/test.h"

#define CHANNELS_MAX 16

struct world {
    struct channel_group out, in;
    struct ram_map from, to;
    struct ram_round round;
    struct page_sink *sink;
    struct recv_pool *pool;
    struct channel *ends[CHANNELS_MAX];
    size_t n;
    pthread_t threads[CHANNELS_MAX];
};

struct arrival {
    struct world *w;
    struct channel *channel;
};

/* As the migration does it: read the hello, join, serve. */
static void *receive(void *arg)
{
    struct arrival *a = arg;
    uint8_t bytes[MULTIFD_HELLO_LEN];
    struct iovec iov = {bytes, sizeof(bytes)};
    struct multifd_hello hello;
    struct recv_channel *c;
    struct error err;
    size_t got;

    if (channel_recvv(a->channel, &iov, 1, sizeof(bytes), 0, &got, &err) < 0 ||
        multifd_hello_decode(bytes, &hello, &err) < 0 ||
        recv_pool_join(a->w->pool, a->channel, &hello, &c, &err) < 0)
        channel_group_fail(&a->w->in, &err);
    else
        recv_pool_serve(a->w->pool, c);
    free(a);
    return NULL;
}

static void start_receiver(struct world *w, size_t i)
{
    struct arrival *a = malloc(sizeof(*a));

    *a = (struct arrival){w, w->ends[i]};
    pthread_create(&w->threads[i], NULL, receive, a);
}

static void start(struct world *w, size_t n, unsigned n_expected, bool zeros_on_main)
{
    static const struct uuid uuid = {{1, 2, 3}};
    struct channel *senders[CHANNELS_MAX];
    struct error err;

    *w = (struct world){.n = n};
    memory_add(&w->from, "pc.ram", 3000, false);
    memory_add(&w->from, "pc.bios", 64, false);
    memory_add(&w->from, "vga", 513, false);
    memory_like(&w->to, &w->from);
    OK(channel_group_init(&w->out, 0, &err), err, "out");
    OK(channel_group_init(&w->in, 0, &err), err, "in");
    OK(ram_round_init(&w->round, &w->from, zeros_on_main, NULL, &err), err, "round");
    for (size_t i = 0; i < n; i++) {
        struct channel *pair[2];

        channel_pair(0, pair);
        senders[i] = pair[0];
        w->ends[i] = pair[1];
        OK(channel_group_add(&w->out, pair[0], &err), err, "out");
        OK(channel_group_add(&w->in, pair[1], &err), err, "in");
    }
    struct send_pool_config out = {
        .group = &w->out,
        .uuid = uuid,
        .zeros_on_main = zeros_on_main,
        .channels = senders,
        .n = n,
    };
    struct recv_pool_config in = {.group = &w->in, .n_expected = n_expected};
    OK(recv_pool_new(&in, &w->pool, &err), err, "recv_pool");
    OK(send_pool_new(&out, &w->sink, &err), err, "send_pool");
}

static void finish(struct world *w, const char *label)
{
    struct uuid uuid;
    struct error err;
    struct channel_traffic traffic;
    uint64_t normal = 0;

    OK(recv_pool_finish(w->pool, &err), err, label);
    for (size_t i = 0; i < w->n; i++) {
        const struct channel_stats *in = recv_pool_stats(w->pool, i, &traffic);

        CHECK(in && traffic.bytes > MULTIFD_HELLO_LEN, "%s: channel %zu has no counters", label, i);
        normal += in->normal;
    }
    CHECK(normal > 0, "%s: no page was counted", label);
    assert_int_equal(recv_pool_channels(w->pool, &uuid), w->n);
    CHECK(uuid.bytes[0] == 1 && uuid.bytes[2] == 3, "%s: another UUID", label);
    w->sink->ops->free(w->sink); /* closes */
    for (size_t i = 0; i < w->n; i++)
        pthread_join(w->threads[i], NULL);
    OK(channel_group_check(&w->in, &err), err, label);
    OK(channel_group_check(&w->out, &err), err, label);
    recv_pool_free(w->pool);
    ram_round_done(&w->round);
    ram_map_done(&w->from);
    ram_map_done(&w->to);
    channel_group_done(&w->in);
    channel_group_done(&w->out);
}

/* What the main stream would carry. */
static void apply_zeros(struct world *w)
{
    for (size_t i = 0; w->round.zeros && i < w->from.n; i++) {
        for (uint64_t word = 0; word < dirty_bitmap_words(&w->round.zeros[i]); word++) {
            for (uint64_t bits = dirty_bitmap_take(&w->round.zeros[i], word); bits;
                 bits &= bits - 1) {
                uint64_t page = word * 64 + (unsigned)__builtin_ctzll(bits);
                struct error err;

                OK(ram_zero_page(&w->to.blocks[i], page << RAM_PAGE_BITS, &err), err, "zero");
            }
        }
    }
}

static void send_round(struct world *w, struct ram_round *round, const char *label)
{
    struct error err;

    if (round)
        ram_round_restart(round);
    OK(w->sink->ops->round(w->sink, round, true, &err), err, label);
}

/* Rounds over changing memory: pages become something, something else, and zero again. */
static void rounds(struct world *w, const char *label)
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
        send_round(w, &w->round, label);
        apply_zeros(w);
        OK(recv_pool_flush(w->pool, &err), err, label);
        memory_check_equal(label, &w->from, &w->to);
    }
}

static const struct pool_case {
    const char *label;
    size_t n;
    bool zeros_on_main;
} pool_cases[] = {
    {"1 channel", 1, false},
    {"2 channels", 2, false},
    {"7 channels", 7, false},
    {"16 channels", 16, false},
    {"1 channel, zeros on main", 1, true},
    {"7 channels, zeros on main", 7, true},
};

static void every_page_arrives(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pool_cases); i++) {
        const struct pool_case *c = &pool_cases[i];
        struct world w;
        struct error err;

        start(&w, c->n, (unsigned)c->n, c->zeros_on_main);
        for (size_t k = 0; k < c->n; k++)
            start_receiver(&w, k);
        send_round(&w, NULL, c->label); /* the setup's barrier */
        OK(recv_pool_complete(w.pool, true, &err), err, c->label);
        recv_pool_open(w.pool, &w.to, NULL);
        OK(recv_pool_flush(w.pool, &err), err, c->label);
        rounds(&w, c->label);
        finish(&w, c->label);
    }
}

/* The main stream's first flush is over before anybody has joined: nothing was missed. */
static void late_channels_are_in_order(void **state)
{
    struct world w;
    struct error err;

    (void)state;
    start(&w, 3, 0, false); /* how many will come is not known */
    send_round(&w, NULL, "late");
    OK(recv_pool_flush(w.pool, &err), err, "late");
    recv_pool_open(w.pool, &w.to, NULL);
    for (size_t k = 0; k < 3; k++)
        start_receiver(&w, k);
    OK(recv_pool_complete(w.pool, true, &err), err, "late");
    rounds(&w, "late");
    finish(&w, "late");
}

/* The receiver dies in a round that fills all buffers: the sink fails, and fails again. */
static void a_dead_peer_fails_the_round(void **state)
{
    struct world w;
    struct error err;

    (void)state;
    start(&w, 4, 4, false);
    for (size_t i = 0; i < w.from.n; i++)
        memory_fill(&w.from.blocks[i], 1, false);
    round_set_all(&w.round);
    ram_round_restart(&w.round);
    channel_group_remove(&w.in, w.ends[2]);
    channel_free(w.ends[2]);
    check_refused("round", w.sink->ops->round(w.sink, &w.round, true, &err), &err, ERR_SYSTEM,
                  "channel 2: send");
    check_refused("next round", w.sink->ops->round(w.sink, NULL, true, &err), &err, ERR_SYSTEM,
                  "channel 2: send");
    w.sink->ops->free(w.sink);
    for (size_t i = 0; i < w.n; i++) {
        if (i != 2)
            channel_free(w.ends[i]);
    }
    recv_pool_free(w.pool);
    ram_round_done(&w.round);
    ram_map_done(&w.from);
    ram_map_done(&w.to);
    channel_group_done(&w.in);
    channel_group_done(&w.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_arrives),
        cmocka_unit_test(late_channels_are_in_order),
        cmocka_unit_test(a_dead_peer_fails_the_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
