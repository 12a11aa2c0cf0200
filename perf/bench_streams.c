#include "perf/bench_streams.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cancel.h"
#include "transport/transport.h"

#define TIMEOUT_MS 20000

struct streams streams_new(size_t bytes)
{
    struct streams s = {bench_memory(bytes), bench_memory(bytes), bytes};

    for (size_t at = 0; at < bytes; at += PAGE_BYTES)
        memcpy(s.from + at, &at, sizeof(at));
    return s;
}

/* --- packets ---------------------------------------------------------------------------------- */

struct end {
    struct streams *streams;
    uint8_t *memory;
    unsigned run_pages;
    streams_move *move;
    void *where;
};

/* A packet's pages as pieces that do not touch: first every other run, then the runs between. */
static size_t lay_out(const struct end *e, uint8_t *pages, struct iovec *iov)
{
    size_t run = e->run_pages ? e->run_pages : PACKET_PAGES, n = 0;

    for (size_t odd = 0; odd < 2; odd++) {
        for (size_t page = odd * run; page < PACKET_PAGES; page += 2 * run)
            iov[n++] = (struct iovec){pages + page * PAGE_BYTES, run * PAGE_BYTES};
    }
    return n;
}

static void *move_all(void *arg)
{
    const struct end *e = arg;
    uint8_t head[HEAD_BYTES] = {0};
    struct iovec iov[1 + PACKET_PAGES];

    for (size_t at = 0; at < e->streams->bytes; at += PACKET_PAGES * PAGE_BYTES) {
        iov[0] = (struct iovec){head, sizeof(head)};
        e->move(e->where, iov, 1 + lay_out(e, e->memory + at, iov + 1));
    }
    return NULL;
}

struct bench_time streams_run(struct streams *s, unsigned run_pages, streams_move *send,
                              void *sender, streams_move *receive, void *receiver)
{
    struct end out = {s, s->from, run_pages, send, sender},
               in = {s, s->to, run_pages, receive, receiver};
    pthread_t thread;

    memset(s->to, 0xee, s->bytes);
    struct bench_time t = bench_now();
    errno = pthread_create(&thread, NULL, move_all, &in);
    if (errno)
        err(1, "thread");
    move_all(&out);
    pthread_join(thread, NULL);
    t = bench_since(t);
    if (memcmp(s->from, s->to, s->bytes) != 0)
        errx(1, "what has come is not what was sent");
    return t;
}

/* --- connections ------------------------------------------------------------------------------ */

void streams_connect(const char *address, int ret_fds[static 2])
{
    struct cancel never;
    struct transport_config config = {
        .connect_timeout_ms = TIMEOUT_MS, .stall_timeout_ms = TIMEOUT_MS, .cancel = &never};
    struct address at, to;
    struct listener l;
    struct error e;

    bench_must(cancel_init(&never, &e), &e);
    bench_must(address_parse(address, &at, &e), &e);
    bench_must(transport_listen(&at, &config, &l, &e), &e);
    bench_must(address_parse(l.text, &to, &e), &e);
    bench_must(transport_dial(&to, &config, &ret_fds[0], &e), &e);
    struct pollfd p = {.fd = l.fds[0], .events = POLLIN};
    if (poll(&p, 1, TIMEOUT_MS) != 1)
        errx(1, "%s: nobody connects", l.text);
    bench_must(listener_accept(&l, &config, &ret_fds[1], &e), &e);
    listener_done(&l);
    cancel_done(&never);
}

typedef ssize_t message_call(int fd, struct msghdr *m);

static void move_raw(int fd, struct iovec *iov, size_t n, message_call *call)
{
    while (n > 0) {
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
        ssize_t done = call(fd, &m);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            err(1, "a connection broke");
        n = iov_advance(&iov, n, (size_t)done);
    }
}

static ssize_t send_call(int fd, struct msghdr *m)
{
    return sendmsg(fd, m, MSG_NOSIGNAL);
}

static ssize_t receive_call(int fd, struct msghdr *m)
{
    return recvmsg(fd, m, 0);
}

void streams_raw_send(void *end, struct iovec *iov, size_t n)
{
    move_raw(*(int *)end, iov, n, send_call);
}

void streams_raw_receive(void *end, struct iovec *iov, size_t n)
{
    move_raw(*(int *)end, iov, n, receive_call);
}

void streams_send(void *end, struct iovec *iov, size_t n)
{
    struct error e;

    bench_must(channel_sendv(end, iov, n, 0, &e), &e);
}

void streams_receive(void *end, struct iovec *iov, size_t n)
{
    struct error e;
    size_t len;

    bench_must(channel_recvv(end, iov, n, iov_total(iov, n), 0, &len, &e), &e);
}
