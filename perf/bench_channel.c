/*
 * perf/bench_channel.c: how fast one channel moves packets of pages with each engine, compared with
 * the socket alone: sendmsg and recvmsg of the same buffers over a connection with the same
 * options.
 */
#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "perf/bench_streams.h"
#include "transport/engine.h"

static char unix_address[64]; /* of this process */

struct way {
    bool local;         /* over a unix socket */
    const char *engine; /* NULL: the socket alone */
    unsigned run_pages; /* 0: a packet's pages lie together */
};

static struct channel *open_channel(const char *name, int fd)
{
    struct engine_config config = {.stall_timeout_ms = 20000};
    const struct engine *engine;
    struct channel *c;
    struct error e;

    bench_must(engine_find(name, &engine, &e), &e);
    bench_must(engine->open(fd, &config, &c, &e), &e);
    return c;
}

static struct bench_time by_channel(struct streams *s, const struct way *way, int fds[static 2])
{
    struct channel *out = open_channel(way->engine, fds[0]),
                   *in = open_channel(way->engine, fds[1]);
    struct bench_time t = streams_run(s, way->run_pages, streams_send, out, streams_receive, in);

    channel_free(out);
    channel_free(in);
    return t;
}

static struct bench_time move(const struct bench_row *row, void *work)
{
    const struct way *way = row->what;
    int fds[2];

    streams_connect(way->local ? unix_address : "tcp:127.0.0.1:0", fds);
    if (way->engine)
        return by_channel(work, way, fds);
    AUTO_FD int out = fds[0], in = fds[1];
    return streams_run(work, way->run_pages, streams_raw_send, &out, streams_raw_receive, &in);
}

static const struct way tcp_raw = {false, NULL, 0}, tcp_socket = {false, "socket", 0},
                        tcp_uring = {false, "uring", 0}, runs_raw = {false, NULL, 2},
                        runs_socket = {false, "socket", 2}, runs_uring = {false, "uring", 2},
                        unix_raw = {true, NULL, 0}, unix_socket = {true, "socket", 0},
                        unix_uring = {true, "uring", 0};

static const struct bench_row rows[] = {
    {"tcp, raw", move, &tcp_raw, {NULL}, 0},
    {"tcp, socket", move, &tcp_socket, {"tcp, raw"}, 0.95},
    {"tcp, uring", move, &tcp_uring, {"tcp, raw"}, 0},
    {"tcp in runs of 2 pages, raw", move, &runs_raw, {NULL}, 0},
    {"tcp in runs of 2 pages, socket", move, &runs_socket, {"tcp in runs of 2 pages, raw"}, 0.95},
    {"tcp in runs of 2 pages, uring", move, &runs_uring, {"tcp in runs of 2 pages, raw"}, 0},
    {"unix, raw", move, &unix_raw, {NULL}, 0},
    {"unix, socket", move, &unix_socket, {"unix, raw"}, 0.95},
    {"unix, uring", move, &unix_uring, {"unix, raw"}, 0},
};

static const char usage[] = "usage: bench_channel [--quick] [--reps N] [--json]\n";

int main(int argc, char **argv)
{
    struct bench_options o = bench_options(argc, argv, usage, 9, 1);
    char notice[ENGINE_NOTICE_LEN];
    const struct engine *uring;
    struct error e;

    if (o.argument)
        errx(2, "%s", usage);
    if (engine_find("uring", &uring, &e) < 0) {
        printf("skipped: %s\n", e.text);
        return 77;
    }
    engine_choose(uring, false, notice);
    snprintf(unix_address, sizeof(unix_address), "unix:/tmp/bench-channel-%d.sock", getpid());
    bench_warm((size_t)(o.quick ? 64 : 2048) << 20);
    struct streams s = streams_new(o.quick ? 16 << 20 : 512 << 20);
    const struct bench b = {
        .title = "channel: packets of 128 pages, one connection, a thread at each end",
        .rows = rows,
        .n_rows = ARRAY_LEN(rows),
        .work = &s,
        .bytes = s.bytes,
        .note = notice[0] ? notice : NULL,
    };
    bench_run(&b, &o);
    return 0;
}
