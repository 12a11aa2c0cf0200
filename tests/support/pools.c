#include "tests/support/pools.h"

#include "tests/support/bytes_channel.h"
#include "tests/support/memory.h"
#include "tests/support/test.h"

struct arrival {
    struct pools *p;
    struct channel *channel;
};

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
        recv_pool_join(a->p->pool, a->channel, &hello, &c, &err) < 0)
        channel_group_fail(&a->p->in, &err);
    else
        recv_pool_serve(a->p->pool, c);
    free(a);
    return NULL;
}

void pools_receive(struct pools *p, size_t i)
{
    struct arrival *a = malloc(sizeof(*a));

    *a = (struct arrival){p, p->ends[i]};
    pthread_create(&p->threads[i], NULL, receive, a);
}

void pools_init(struct pools *p)
{
    *p = (struct pools){0};
}

void pools_start(struct pools *p, const struct pools_config *config)
{
    struct error err;

    p->n = config->n;
    memory_like(&p->to, &p->from);
    OK(channel_group_init(&p->out, 0, &err), err, "out");
    OK(channel_group_init(&p->in, 0, &err), err, "in");
    OK(ram_round_init(&p->round, &p->from, config->zeros_on_main, NULL, &err), err, "round");
    for (size_t i = 0; i < p->n; i++) {
        struct channel *pair[2];

        channel_pair(0, pair);
        p->senders[i] = pair[0];
        p->ends[i] = pair[1];
        OK(channel_group_add(&p->out, pair[0], &err), err, "out");
        OK(channel_group_add(&p->in, pair[1], &err), err, "in");
        OK(send_pool_greet(pair[0], &(struct uuid){{1, 2, 3}}, i, &err), err, "greet");
    }
    struct send_pool_config out = {
        .group = &p->out,
        .method = config->method,
        .level = config->level,
        .zeros_on_main = config->zeros_on_main,
        .channels = p->senders,
        .n = p->n,
    };
    struct recv_pool_config in = {
        .group = &p->in,
        .n_expected = config->n_expected,
        .method = -1,
    };
    OK(recv_pool_new(&in, &p->pool, &err), err, "recv_pool");
    OK(send_pool_new(&out, &p->sink, &err), err, "send_pool");
}

void pools_send(struct pools *p, struct ram_round *round, const char *label)
{
    struct error err;

    if (round)
        ram_round_restart(round);
    OK(p->sink->ops->round(p->sink, round, true, &err), err, label);
}

void pools_finish(struct pools *p, const char *label)
{
    struct uuid uuid;
    struct error err;
    struct channel_traffic traffic;
    uint64_t normal = 0, sent = 0;

    OK(recv_pool_finish(p->pool, &err), err, label);
    for (size_t i = 0; i < p->n; i++) {
        const struct channel_stats *in = recv_pool_stats(p->pool, i, &traffic);

        CHECK(in && traffic.bytes > MULTIFD_HELLO_LEN, "%s: channel %zu has no counters", label, i);
        normal += in->normal;
    }
    CHECK(normal > 0, "%s: no page was counted", label);
    CHECK(p->sink->n_channels == p->n, "%s: channels of the sink", label);
    for (size_t i = 0; i < p->n; i++)
        sent += p->sink->ops->stats(p->sink, i, &traffic)->normal;
    CHECK(sent == normal, "%s: %llu pages sent, %llu received", label, (unsigned long long)sent,
          (unsigned long long)normal);
    assert_int_equal(recv_pool_channels(p->pool, &uuid), p->n);
    CHECK(uuid.bytes[0] == 1 && uuid.bytes[2] == 3, "%s: another UUID", label);
    p->sink->ops->free(p->sink); /* closes the channels */
    for (size_t i = 0; i < p->n; i++)
        pthread_join(p->threads[i], NULL);
    OK(channel_group_check(&p->in, &err), err, label);
    OK(channel_group_check(&p->out, &err), err, label);
    pools_done(p);
}

void pools_done(struct pools *p)
{
    recv_pool_free(p->pool);
    ram_round_done(&p->round);
    ram_map_done(&p->from);
    ram_map_done(&p->to);
    channel_group_done(&p->in);
    channel_group_done(&p->out);
}
