/*
 * One set of tests for every engine of the table, with and without borrowed memory: a test's state
 * is its `struct way`.
 */
#include "transport/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

/* --- ways to move bytes ---------------------------------------------------------------------- */

static const struct way {
    const char *label, *engine;
    bool zero_copy; /* over TCP on loopback, as AF_UNIX cannot; the other ways use AF_UNIX */
    bool vsock;     /* over vsock, where there is a loopback */
} ways[] = {
    {"socket", "socket", false, false},
    {"socket, zero-copy", "socket", true, false},
    {"uring", "uring", false, false},
    {"uring, zero-copy", "uring", true, false},
    {"socket, vsock", "socket", false, true},
    {"uring, vsock", "uring", false, true},
    {"uring, zero-copy, vsock", "uring", true, true},
};

static void tcp_pair(int ret[static 2])
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listening, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(listening, 1) == 0 &&
              getsockname(listening, (struct sockaddr *)&sa, &len) == 0 &&
              connect(ret[0], (struct sockaddr *)&sa, sizeof(sa)) == 0,
          "a TCP connection to ourselves");
    ret[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    CHECK(ret[1] >= 0, "accept");
    close(listening);
}

/* False, with the reason in errno: this kernel has no such loopback, or a signal came. */
static bool try_vsock_pair(int ret[static 2])
{
    struct sockaddr_vm sa = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL, .svm_port = VMADDR_PORT_ANY};
    socklen_t len = sizeof(sa);
    AUTO_FD int listening = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AUTO_FD int dialled = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(listening, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(listening, 1) < 0 ||
        getsockname(listening, (struct sockaddr *)&sa, &len) < 0 ||
        connect(dialled, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return false;
    ret[0] = fd_take(&dialled);
    ret[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    CHECK(ret[1] >= 0, "accept: %s", strerror(errno));
    return true;
}

/* When a ring is closed, it interrupts a connect; vsock then drops that connection, but the
 * listener may keep its half: start again with new sockets. */
static bool vsock_pair(int ret[static 2])
{
    while (!try_vsock_pair(ret)) {
        if (errno != EINTR)
            return false;
    }
    return true;
}

static void connected(const struct way *way, int ret[static 2])
{
    if (way->vsock)
        CHECK(vsock_pair(ret), "a vsock connection to ourselves: %s", strerror(errno));
    else if (way->zero_copy)
        tcp_pair(ret);
    else
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret) == 0, "socketpair");
}

static struct channel *open_way(const struct way *way, int fd, uint64_t stall_timeout_ms)
{
    struct engine_config config = {
        .stall_timeout_ms = stall_timeout_ms,
        .zero_copy = way->zero_copy,
    };
    const struct engine *engine;
    struct channel *c;
    struct error err;

    OK(engine_find(way->engine, &engine, &err), err, way->label);
    OK(engine->open(fd, &config, &c, &err), err, way->label);
    CHECK(strcmp(c->ops->name, way->engine) == 0, "%s: got %s", way->label, c->ops->name);
    return c;
}

static struct channel *way_and_fd(const struct way *way, uint64_t stall_timeout_ms, int *ret_fd)
{
    int fds[2];

    connected(way, fds);
    *ret_fd = fds[1];
    return open_way(way, fds[0], stall_timeout_ms);
}

static void way_pair(const struct way *way, struct channel *ret[static 2])
{
    int fd;

    ret[0] = way_and_fd(way, 0, &fd);
    ret[1] = open_way(way, fd, 0);
}

static void set_buffers(int fd, int bytes)
{
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

/* So small that a transfer takes many steps. TCP with the kernel's smallest buffer is very slow. */
static void make_narrow(const struct way *way, int fd)
{
    set_buffers(fd, way->zero_copy ? 262144 : 1);
}

/* --- the table ------------------------------------------------------------------------------- */

static const struct find_case {
    const char *name, *refused;
} find_cases[] = {
    {"auto", NULL},
    {"socket", NULL},
    {"rdma", "this build has: auto, socket"},
    {"", "this build has: "},
    {"Socket", "this build has: "},
};

static void finds_by_name(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(find_cases); i++) {
        const struct find_case *c = &find_cases[i];
        const struct engine *engine = NULL;
        struct error err;
        int rc = engine_find(c->name, &engine, &err);

        (void)state;
        if (c->refused)
            check_refused(c->name, rc, &err, ERR_USAGE, c->refused);
        else
            CHECK(rc == 0 && engine, "%s: not found", c->name);
    }
}

static void refuses_what_is_no_socket(void **state)
{
    const struct engine *engine;
    struct channel *c;
    struct error err;
    int fd = bytes_fd("x", 1);

    OK(engine_find(((const struct way *)*state)->engine, &engine, &err), err, "engine");
    check_refused("a file", engine->open(fd, &(struct engine_config){0}, &c, &err), &err,
                  ERR_SYSTEM, "SO_RCVTIMEO");
    CHECK(fcntl(fd, F_GETFD) < 0, "the descriptor was not taken");
}

/* --- transfers ------------------------------------------------------------------------------- */

#define PIECES    3000 /* more than IOV_MAX */
#define PIECE_MAX 700

struct transfer {
    struct channel *channel;
    struct iovec *iov;
    size_t n, len, got;
    int rc;
    struct error err;
};

static void *send_all(void *arg)
{
    struct transfer *t = arg;

    t->rc = channel_sendv(t->channel, t->iov, t->n, CHANNEL_BORROW, &t->err);
    if (t->rc == 0)
        t->rc = channel_drain(t->channel, &t->err);
    return NULL;
}

/* Pieces of all lengths from 0 on, over `bytes`. Returns the sum. */
static size_t cut(struct iovec *iov, uint8_t *bytes)
{
    size_t at = 0;

    for (size_t i = 0; i < PIECES; i++) {
        size_t len = i * 37 % PIECE_MAX;

        iov[i] = (struct iovec){bytes + at, len};
        at += len;
    }
    return at;
}

static struct {
    uint8_t sent[PIECES * PIECE_MAX], received[PIECES * PIECE_MAX];
    struct iovec iov_out[PIECES], iov_in[PIECES];
} big;

static void fill_sent(void)
{
    for (size_t i = 0; i < sizeof(big.sent); i++)
        big.sent[i] = (uint8_t)(i * 131 + i / 257);
    memset(big.received, 0, sizeof(big.received));
}

static void narrow_pair(const struct way *way, struct channel *ret[static 2])
{
    way_pair(way, ret);
    make_narrow(way, ret[0]->fd);
    make_narrow(way, ret[1]->fd);
}

static struct channel *narrow_and_fd(const struct way *way, uint64_t stall_timeout_ms, int *ret_fd)
{
    struct channel *c = way_and_fd(way, stall_timeout_ms, ret_fd);

    make_narrow(way, c->fd);
    make_narrow(way, *ret_fd);
    return c;
}

static void gathers_and_scatters(void **state)
{
    struct channel *pair[2];
    struct error err;
    pthread_t thread;
    size_t len = cut(big.iov_out, big.sent), got = 0;

    fill_sent();
    narrow_pair(*state, pair);
    struct transfer t = {.channel = pair[0], .iov = big.iov_out, .n = PIECES};
    pthread_create(&thread, NULL, send_all, &t);
    /* The same bytes, cut elsewhere: one large piece first, then many. */
    big.iov_in[0] = (struct iovec){big.received, 100001};
    for (size_t i = 1; i < PIECES; i++)
        big.iov_in[i] = (struct iovec){big.received + 100001 + (i - 1) * 320, 320};
    OK(channel_recvv(pair[1], big.iov_in, PIECES, len, 0, &got, &err), err, "receive");
    pthread_join(thread, NULL);
    OK(t.rc, t.err, "send");
    CHECK(got == len, "%zu bytes, expected %zu", got, len);
    assert_memory_equal(big.received, big.sent, len);
    CHECK(pair[0]->bytes_sent == len && pair[1]->bytes_received == len, "the counters");
    channel_free(pair[0]);
    channel_free(pair[1]);
}

static void takes_at_least_min(void **state)
{
    struct channel *pair[2];
    uint8_t bytes[100];
    struct iovec iov[] = {{bytes, 10}, {bytes + 10, 0}, {bytes + 10, 90}};
    struct error err;
    size_t got = 0;

    way_pair(*state, pair);
    OK(channel_send(pair[0], "0123456789abcdefghijklmnop", 26, 0, &err), err, "send");
    OK(channel_recvv(pair[1], iov, 3, 12, 0, &got, &err), err, "receive");
    CHECK(got >= 12 && got <= 26, "%zu bytes", got);
    assert_memory_equal(bytes, "0123456789ab", 12);
    channel_free(pair[0]);
    channel_free(pair[1]);
}

static void empty_transfers_are_fine(void **state)
{
    struct channel *pair[2];
    struct iovec iov[] = {{NULL, 0}, {NULL, 0}};
    struct error err;
    size_t got = 7;

    way_pair(*state, pair);
    OK(channel_sendv(pair[0], iov, 2, 0, &err), err, "send nothing");
    OK(channel_sendv(pair[0], iov, 0, 0, &err), err, "send no pieces");
    OK(channel_recvv(pair[1], iov, 2, 0, 0, &got, &err), err, "receive nothing");
    CHECK(got == 0, "%zu bytes of nothing", got);
    channel_free(pair[0]);
    channel_free(pair[1]);
}

/* --- ends ------------------------------------------------------------------------------------ */

static const struct close_case {
    const char *label;
    size_t sent, min;
    unsigned flags;
    const char *refused; /* NULL: an orderly end, nothing received */
} close_cases[] = {
    {"at the start", 0, 4, 0, "closed the connection, 4 more bytes"},
    {"inside", 3, 4, 0, "closed the connection, 1 more bytes"},
    {"between records", 0, 4, CHANNEL_MAY_IDLE, NULL},
    {"inside, between records allowed", 3, 4, CHANNEL_MAY_IDLE, "closed the connection, 1 more"},
};

static void tells_how_the_peer_closed(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(close_cases); i++) {
        const struct close_case *c = &close_cases[i];
        uint8_t bytes[8];
        struct iovec iov = {bytes, sizeof(bytes)};
        struct error err;
        size_t got = 99;
        int peer;
        struct channel *channel = way_and_fd(*state, 0, &peer);

        CHECK(write(peer, "xxxxxxxx", c->sent) == (ssize_t)c->sent, "write");
        close(peer);
        int rc = channel_recvv(channel, &iov, 1, c->min, c->flags, &got, &err);
        if (c->refused)
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
        else
            CHECK(rc == 0 && got == 0, "%s: rc %d, %zu bytes", c->label, rc, got);
        channel_free(channel);
    }
}

/* A channel around this one peeks before it takes, and must not wait while it holds its own
 * lock. */
static void peeks_and_does_not_wait(void **state)
{
    uint8_t bytes[8] = {0};
    struct error err;
    size_t got = 99;
    int peer;
    struct channel *c = way_and_fd(*state, 0, &peer);

    struct iovec iov = {bytes, 4};
    check_refused("nothing there", channel_recvv(c, &iov, 1, 1, CHANNEL_NOWAIT, &got, &err), &err,
                  ERR_SYSTEM, "receive");
    CHECK(err.sys == EAGAIN, "errno %d", err.sys);
    CHECK(write(peer, "abcd", 4) == 4, "write");
    for (int i = 0; i < 2; i++) {
        iov = (struct iovec){bytes, 1};
        OK(channel_recvv(c, &iov, 1, 1, CHANNEL_PEEK, &got, &err), err, "peek");
        CHECK(got == 1 && bytes[0] == 'a', "%zu bytes, %c", got, bytes[0]);
    }
    CHECK(atomic_load(&c->bytes_received) == 0, "peeking counts nothing");
    iov = (struct iovec){bytes, 8};
    OK(channel_recvv(c, &iov, 1, 1, CHANNEL_NOWAIT, &got, &err), err, "what is there");
    CHECK(got == 4 && memcmp(bytes, "abcd", 4) == 0, "%zu bytes", got);
    close(peer);
    iov = (struct iovec){bytes, 1};
    OK(channel_recvv(c, &iov, 1, 1, CHANNEL_PEEK | CHANNEL_MAY_IDLE, &got, &err), err, "the end");
    CHECK(got == 0, "%zu bytes", got);
    channel_free(c);
}

static int receive_recallable(struct channel *c, char bytes[static 8], size_t *ret_got,
                              struct error *err)
{
    struct iovec iov = {bytes, 4};

    return channel_recvv(c, &iov, 1, 4, CHANNEL_MAY_IDLE | CHANNEL_RECALL, ret_got, err);
}

/* Over vsock, bytes and the end arrive a moment after they were sent. */
static void await_arrival(const struct channel *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};

    CHECK(poll(&p, 1, -1) == 1, "poll");
}

static void a_recall_takes_what_had_come(void **state)
{
    char bytes[8] = "";
    struct cancel recall;
    struct error err;
    size_t got = 99;
    int peer;
    struct channel *c = way_and_fd(*state, 0, &peer);

    OK(cancel_init(&recall, &err), err, "recall");
    c->recall = &recall;
    CHECK(write(peer, "abcdefgh", 8) == 8, "write");
    OK(receive_recallable(c, bytes, &got, &err), err, "before the recall");
    cancel_request(&recall);
    OK(receive_recallable(c, bytes, &got, &err), err, "what had come");
    CHECK(got == 4 && memcmp(bytes, "efgh", 4) == 0, "%zu bytes", got);
    for (int i = 0; i < 2; i++) {
        check_refused("nothing had come", receive_recallable(c, bytes, &got, &err), &err,
                      ERR_SYSTEM, "receive");
        CHECK(err.sys == ECANCELED, "errno %d", err.sys);
    }
    close(peer);
    await_arrival(c);
    OK(receive_recallable(c, bytes, &got, &err), err, "the end");
    CHECK(got == 0, "%zu bytes", got);
    channel_free(c);
    cancel_done(&recall);
}

struct recallable {
    struct channel *channel;
    int rc;
    size_t got;
    char bytes[8];
    struct error err;
};

static void *receive_until_recalled(void *arg)
{
    struct recallable *r = arg;

    r->rc = receive_recallable(r->channel, r->bytes, &r->got, &r->err);
    return NULL;
}

/* `sent` bytes before the recall; the rest of a record of four bytes after it. */
static void recall_one_that_waits(const struct way *way, size_t sent, struct recallable *ret)
{
    const char *record = "wxyz";
    struct cancel recall;
    struct error err;
    pthread_t thread;
    int peer;

    ret->channel = way_and_fd(way, 0, &peer);
    OK(cancel_init(&recall, &err), err, "recall");
    ret->channel->recall = &recall;
    CHECK(write(peer, record, sent) == (ssize_t)sent, "write");
    if (sent > 0)
        await_arrival(ret->channel);
    pthread_create(&thread, NULL, receive_until_recalled, ret);
    cancel_request(&recall);
    CHECK(sent == 0 || write(peer, record + sent, 4 - sent) == (ssize_t)(4 - sent), "write");
    pthread_join(thread, NULL);
    channel_free(ret->channel);
    close(peer);
    cancel_done(&recall);
}

static void a_recall_wakes_who_waits(void **state)
{
    for (int i = 0; i < 100; i++) {
        struct recallable r = {0};

        recall_one_that_waits(*state, 0, &r);
        check_refused("recalled", r.rc, &r.err, ERR_SYSTEM, "receive");
        CHECK(r.err.sys == ECANCELED, "errno %d", r.err.sys);
        recall_one_that_waits(*state, 1 + i % 3, &r);
        OK(r.rc, r.err, "a record that has begun");
        CHECK(r.got == 4 && memcmp(r.bytes, "wxyz", 4) == 0, "%zu bytes", r.got);
    }
}

static void send_to_a_closed_peer_fails(void **state)
{
    struct error err;
    int peer;
    struct channel *c = way_and_fd(*state, 0, &peer);

    close(peer);
    int rc = 0;
    while (rc == 0) /* TCP learns of the close by the answer to the first bytes */
        rc = channel_send(c, "x", 1, 0, &err);
    check_refused("closed peer", rc, &err, ERR_SYSTEM, "send");
    channel_free(c);
}

static void *receive_all(void *arg)
{
    struct transfer *t = arg;
    struct iovec iov = {big.received, t->len};

    t->rc = channel_recvv(t->channel, &iov, 1, t->len, 0, &t->got, &t->err);
    return NULL;
}

static void interrupt_wakes_a_receiver(void **state)
{
    int peer;
    struct channel *c = way_and_fd(*state, 0, &peer);
    struct transfer t = {.channel = c, .len = 10};
    pthread_t thread;

    pthread_create(&thread, NULL, receive_all, &t);
    channel_interrupt(c); /* before, while or after the call blocks: the result must be the same */
    pthread_join(thread, NULL);
    check_refused("interrupt", t.rc, &t.err, ERR_CANCELLED, "interrupted");
    channel_free(c);
    close(peer);
}

/* Full buffers: the sender blocks, or soon will. */
static void interrupt_wakes_a_sender(void **state)
{
    int peer;
    struct channel *c = narrow_and_fd(*state, 0, &peer);
    struct transfer t = {.channel = c, .iov = big.iov_out, .n = PIECES};
    pthread_t thread;
    char byte;

    cut(big.iov_out, big.sent);
    pthread_create(&thread, NULL, send_all, &t);
    CHECK(recv(peer, &byte, 1, MSG_PEEK) == 1, "the sender has begun");
    channel_interrupt(c);
    pthread_join(thread, NULL);
    check_refused("interrupt", t.rc, &t.err, ERR_CANCELLED, "interrupted");
    channel_free(c);
    close(peer);
}

static void what_came_before_the_interrupt_is_read(void **state)
{
    int peer;
    struct channel *c = way_and_fd(*state, 0, &peer);
    struct transfer t = {.channel = c, .len = 4};

    struct pollfd readable = {.fd = c->fd, .events = POLLIN};

    CHECK(write(peer, "SHUT", 4) == 4, "write");
    CHECK(poll(&readable, 1, -1) == 1, "poll");
    channel_interrupt(c);
    receive_all(&t);
    OK(t.rc, t.err, "what lay there");
    receive_all(&t);
    check_refused("then", t.rc, &t.err, ERR_CANCELLED, "interrupted");
    channel_free(c);
    close(peer);
}

static void nowait_fails_rather_than_waits(void **state)
{
    int peer;
    struct channel *c = narrow_and_fd(*state, 0, &peer);
    struct transfer t = {.channel = c, .iov = big.iov_out, .n = PIECES};
    struct error err;

    OK(channel_send(c, "SHUT", 4, CHANNEL_NOWAIT, &err), err, "there is room");
    cut(big.iov_out, big.sent);
    CHECK(channel_sendv(c, t.iov, t.n, CHANNEL_NOWAIT, &err) < 0, "nobody reads");
    CHECK(err.kind == ERR_SYSTEM && err.sys == EAGAIN, "errno %d: %s", err.sys, err.text);
    channel_free(c);
    close(peer);
}

/* --- time ------------------------------------------------------------------------------------ */

static void silence_ends_in_an_error(void **state)
{
    int peer;
    struct channel *c = narrow_and_fd(*state, 3, &peer);
    struct transfer in = {.channel = c, .len = 4};
    struct transfer out = {.channel = c, .iov = big.iov_out, .n = PIECES};

    receive_all(&in);
    check_refused("nothing comes", in.rc, &in.err, ERR_PEER, "sent nothing for 0.0 s");
    cut(big.iov_out, big.sent);
    send_all(&out);
    check_refused("nobody reads", out.rc, &out.err, ERR_PEER, "read nothing for 0.0 s");
    channel_free(c);
    close(peer);
}

static void silence_inside_a_record_too(void **state)
{
    int peer;
    struct channel *c = narrow_and_fd(*state, 3, &peer);
    uint8_t bytes[4];
    struct iovec iov = {bytes, sizeof(bytes)};
    struct error err;
    size_t got;

    CHECK(write(peer, "x", 1) == 1, "write");
    check_refused("a record begun", channel_recvv(c, &iov, 1, 4, CHANNEL_MAY_IDLE, &got, &err),
                  &err, ERR_PEER, "sent nothing for 0.0 s");
    channel_free(c);
    close(peer);
}

static void *write_when_asleep(void *arg)
{
    const int *peer = arg;
    struct pollfd never = {.fd = -1};

    /* A few ticks. However long this takes, the other side must wait. */
    poll(&never, 1, 20);
    CHECK(write(*peer, "x", 1) == 1, "write");
    return NULL;
}

static void silence_between_records_is_borne(void **state)
{
    int peer;
    struct channel *c = narrow_and_fd(*state, 1, &peer);
    char byte;
    struct iovec iov = {&byte, 1};
    struct error err;
    pthread_t thread;
    size_t got;

    pthread_create(&thread, NULL, write_when_asleep, &peer);
    int rc = channel_recvv(c, &iov, 1, 1, CHANNEL_MAY_IDLE, &got, &err);
    pthread_join(thread, NULL);
    OK(rc, err, "between records");
    channel_free(c);
    close(peer);
}

/* --- ticks ----------------------------------------------------------------------------------- */

#define SLICE (16 << 10)

static void pause_some_ticks(void)
{
    struct pollfd never = {.fd = -1};

    poll(&never, 1, 3);
}

/* Ends that tick every millisecond, and wait without limit. */
static void ticking_pair(const struct way *way, struct channel *ret[static 2])
{
    int fd;

    ret[0] = narrow_and_fd(way, 1, &fd);
    ret[1] = open_way(way, fd, 1);
    for (int i = 0; i < 2; i++)
        atomic_store(&ret[i]->stall_timeout_ms, 0);
}

static void *send_slowly(void *arg)
{
    struct transfer *t = arg;

    t->rc = 0;
    for (size_t at = 0; at < t->len && t->rc == 0; at += SLICE) {
        pause_some_ticks();
        t->rc = channel_send(t->channel, big.sent + at, SLICE, CHANNEL_BORROW, &t->err);
    }
    if (t->rc == 0)
        t->rc = channel_drain(t->channel, &t->err);
    return NULL;
}

/* The receiver's wait is interrupted many times in the middle of a message. */
static void ticks_lose_nothing_of_a_slow_sender(void **state)
{
    struct channel *pair[2];
    struct transfer t = {.len = 20 * SLICE};
    struct iovec iov = {big.received, t.len};
    struct error err;
    pthread_t thread;
    size_t got;

    fill_sent();
    ticking_pair(*state, pair);
    t.channel = pair[0];
    pthread_create(&thread, NULL, send_slowly, &t);
    OK(channel_recvv(pair[1], &iov, 1, t.len, 0, &got, &err), err, "receive");
    pthread_join(thread, NULL);
    OK(t.rc, t.err, "send");
    assert_memory_equal(big.received, big.sent, t.len);
    channel_free(pair[0]);
    channel_free(pair[1]);
}

/* The sender's wait, too: after a header and in the middle of pieces. */
static void ticks_lose_nothing_of_a_slow_receiver(void **state)
{
    struct channel *pair[2];
    struct error err;
    pthread_t thread;
    size_t len = cut(big.iov_out, big.sent), got;
    char header[4];
    struct iovec iov = {header, sizeof(header)};

    fill_sent();
    ticking_pair(*state, pair);
    OK(channel_send(pair[0], "head", 4, CHANNEL_MORE, &err), err, "header");
    struct transfer t = {.channel = pair[0], .iov = big.iov_out, .n = PIECES};
    pthread_create(&thread, NULL, send_all, &t);
    OK(channel_recvv(pair[1], &iov, 1, sizeof(header), 0, &got, &err), err, "header");
    assert_memory_equal(header, "head", sizeof(header));
    for (size_t at = 0; at < len; at += got) {
        if (at < 30 * SLICE)
            pause_some_ticks();
        iov = (struct iovec){big.received + at, MIN(len - at, (size_t)SLICE)};
        OK(channel_recvv(pair[1], &iov, 1, 1, 0, &got, &err), err, "receive");
    }
    pthread_join(thread, NULL);
    OK(t.rc, t.err, "send");
    assert_memory_equal(big.received, big.sent, len);
    assert_int_equal(pair[0]->bytes_sent, len + sizeof(header));
    channel_free(pair[0]);
    channel_free(pair[1]);
}

/* --- EINTR ----------------------------------------------------------------------------------- */

static void on_signal(int number)
{
    (void)number;
}

struct pester {
    pthread_t whom;
    atomic_bool stop;
};

static void *pester_main(void *arg)
{
    struct pester *p = arg;

    while (!atomic_load(&p->stop)) {
        pthread_kill(p->whom, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

static void signals_do_no_harm(void **state)
{
    struct sigaction act = {.sa_handler = on_signal}; /* no SA_RESTART */
    struct pester p = {.whom = pthread_self()};
    struct channel *pair[2];
    struct error err;
    pthread_t thread, pesterer;
    size_t len = cut(big.iov_out, big.sent), got = 0;
    struct iovec iov = {big.received, len};

    sigaction(SIGUSR1, &act, NULL);
    fill_sent();
    narrow_pair(*state, pair);
    struct transfer t = {.channel = pair[0], .iov = big.iov_out, .n = PIECES};
    pthread_create(&pesterer, NULL, pester_main, &p);
    pthread_create(&thread, NULL, send_all, &t);
    int rc = channel_recvv(pair[1], &iov, 1, len, 0, &got, &err);
    atomic_store(&p.stop, true);
    pthread_join(pesterer, NULL);
    pthread_join(thread, NULL);
    OK(rc, err, "receive under signals");
    assert_memory_equal(big.received, big.sent, len);
    channel_free(pair[0]);
    channel_free(pair[1]);
}

/* --- pieces ---------------------------------------------------------------------------------- */

/* A header from memory and a piece of a file after it arrive as one; a file that is too
 * short is noticed. */
static void sends_a_piece_of_a_file(void **state)
{
    enum { FILE_LEN = 60000, FROM = 1000, LEN = 50000 };
    uint8_t *bytes = malloc(FILE_LEN), *got = malloc(LEN + 4);
    struct channel *pair[2];
    struct iovec head = {"head", 4}, all = {got, LEN + 4};
    struct error err;
    size_t len;

    for (size_t i = 0; i < FILE_LEN; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    int fd = bytes_fd(bytes, FILE_LEN);
    way_pair(*state, pair);
    assert_true(channel_sends_files(pair[0]));
    OK(channel_sendv(pair[0], &head, 1, CHANNEL_MORE, &err), err, "header");
    OK(channel_send_file(pair[0], fd, FROM, LEN, &err), err, "file");
    OK(channel_recvv(pair[1], &all, 1, LEN + 4, 0, &len, &err), err, "receive");
    assert_memory_equal(got, "head", 4);
    assert_memory_equal(got + 4, bytes + FROM, LEN);
    assert_int_equal(pair[0]->bytes_sent, LEN + 4);
    check_refused("cut", channel_send_file(pair[0], fd, FILE_LEN - 10, 20, &err), &err, ERR_PEER,
                  "ends 10 bytes early");
    close(fd);
    channel_free(pair[0]);
    channel_free(pair[1]);
    free(bytes);
    free(got);
}

static void advances_over_pieces(void **state)
{
    char bytes[10];
    struct iovec iov[] = {{bytes, 3}, {bytes + 3, 0}, {bytes + 3, 7}}, *at = iov;

    (void)state;
    assert_int_equal(iov_total(iov, 3), 10);
    assert_int_equal(iov_advance(&at, 3, 0), 3);
    assert_int_equal(iov_advance(&at, 3, 4), 1);
    CHECK(at->iov_base == bytes + 4 && at->iov_len == 6, "inside the last piece");
    assert_int_equal(iov_advance(&at, 1, 6), 0);
}

/* --- borrowed memory ------------------------------------------------------------------------- */

static void only_what_can_borrow_says_so(void **state)
{
    const struct way *way = *state;
    const struct engine *engine;
    struct engine_config config = {.zero_copy = true};
    struct channel *c;
    struct error err;
    int fds[2];

    OK(engine_find(way->engine, &engine, &err), err, way->label);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
    check_refused("AF_UNIX", engine->open(fds[0], &config, &c, &err), &err, ERR_USAGE,
                  "leave out --zero-copy, or use tcp");
    close(fds[1]);
    c = way_and_fd(way, 0, &fds[1]);
    CHECK(c->borrows, "it borrows");
    channel_free(c);
    close(fds[1]);
}

#define HEADER_LEN 1344
#define PAGES_LEN  (512 << 10)
#define N_PACKETS  128

/* As multifd does it: a header whose memory is reused at once, and borrowed pages. */
static int send_packet(struct channel *c, const uint8_t *pages, uint8_t number, struct error *err)
{
    uint8_t header[HEADER_LEN];
    struct iovec iov[] = {{(void *)pages, 4096}, {(void *)(pages + 4096), PAGES_LEN - 4096}};

    memset(header, number, sizeof(header));
    if (channel_send(c, header, sizeof(header), CHANNEL_MORE, err) < 0)
        return -1;
    memset(header, 0xee, sizeof(header));
    return channel_sendv(c, iov, 2, CHANNEL_BORROW, err);
}

/* 64 MiB from the same few packets, which change after every round. */
static int send_rounds(struct channel *c, uint8_t *pages, size_t per_round, struct error *err)
{
    for (size_t i = 0; i < N_PACKETS; i++) {
        uint8_t *at = pages + i % per_round * PAGES_LEN;

        memset(at, (int)i, PAGES_LEN);
        if (send_packet(c, at, (uint8_t)i, err) < 0)
            return -1;
        if (i % per_round != per_round - 1)
            continue;
        if (channel_drain(c, err) < 0)
            return -1;
        memset(pages, 0xee, per_round * PAGES_LEN); /* ours again: the peer must not see it */
    }
    return 0;
}

/* A ring that is closed elsewhere in the process may interrupt a waiting call. */
static bool read_fully(int fd, uint8_t *at, size_t len)
{
    while (len > 0) {
        ssize_t n = read(fd, at, len);

        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        at += MAX(n, 0);
        len -= (size_t)MAX(n, 0);
    }
    return true;
}

/* How many packets in a row arrive with the contents that they were sent with. */
static size_t count_packets(int fd)
{
    static uint8_t packet[HEADER_LEN + PAGES_LEN];

    for (size_t i = 0; i < N_PACKETS; i++) {
        if (!read_fully(fd, packet, sizeof(packet)) || packet[0] != (uint8_t)i ||
            memcmp(packet, packet + 1, sizeof(packet) - 1) != 0)
            return i;
    }
    return N_PACKETS;
}

struct rounds {
    struct channel *channel;
    uint8_t *pages;
    int rc;
    struct error err;
};

static void *send_rounds_main(void *arg)
{
    struct rounds *r = arg;

    r->rc = send_rounds(r->channel, r->pages, 4, &r->err);
    if (r->rc < 0)
        shutdown(r->channel->fd, SHUT_RDWR); /* the receiver need not wait for more */
    return NULL;
}

static void what_is_drained_may_be_overwritten(void **state)
{
    struct rounds r = {.pages = malloc(4 * PAGES_LEN)};
    pthread_t thread;
    int peer;

    r.channel = way_and_fd(*state, 0, &peer);
    pthread_create(&thread, NULL, send_rounds_main, &r);
    size_t n = count_packets(peer);
    close(peer);
    pthread_join(thread, NULL);
    OK(r.rc, r.err, "send");
    CHECK(n == N_PACKETS, "packet %zu is not as it was lent", n);
    assert_int_equal(r.channel->bytes_sent, N_PACKETS * (HEADER_LEN + PAGES_LEN));
    channel_free(r.channel);
    free(r.pages);
}

/* In a child, with almost no memory that it may lock: everything has to be copied. */
static int send_unprivileged(const struct way *way, int fd, rlim_t may_lock)
{
    struct rlimit limit = {may_lock, may_lock};
    struct rounds r = {.pages = malloc(4 * PAGES_LEN)};

    /* The limit counts everything that a user's processes have locked, rings too, and a process's
     * rings are freed some time after its end: this user has no other process. */
    uid_t user = 1000000 + (uid_t)getpid();

    if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || setgid(user) < 0 || setuid(user) < 0)
        return 1;
    r.channel = open_way(way, fd, 0);
    send_rounds_main(&r);
    uint64_t copied = atomic_load(&r.channel->copied_sends);
    channel_free(r.channel);
    free(r.pages);
    if (r.rc < 0)
        print_error("%s\n", r.err.text);
    else if (may_lock < PAGES_LEN && copied != N_PACKETS)
        print_error("%lu copied of %d\n", (unsigned long)copied, N_PACKETS);
    else
        return 0;
    return 1;
}

static void send_in_a_child(const struct way *way, rlim_t may_lock)
{
    int fds[2], status;

    connected(way, fds);
    pid_t child = fork();
    if (child == 0)
        _exit(send_unprivileged(way, fds[0], may_lock));
    close(fds[0]);
    size_t n = count_packets(fds[1]);
    close(fds[1]);
    CHECK(waitpid(child, &status, 0) == child && status == 0, "status %#x", status);
    CHECK(n == N_PACKETS, "packet %zu is not as it was lent", n);
}

static void shortage_is_met_by_copying(void **state)
{
    if (geteuid() != 0) {
        print_message("skipped: only root can become somebody with less memory to lock\n");
        skip();
    }
    send_in_a_child(*state, 64 << 10);
    send_in_a_child(*state, 1 << 20); /* enough for one packet, or two */
}

#define STUCK_LEN (200 << 10)
static uint8_t stuck[STUCK_LEN];

/* A channel that has accepted bytes and cannot send them: the peer's window is smaller. */
static struct channel *stuck_channel(const struct way *way, uint64_t stall_timeout_ms, int *ret_fd)
{
    struct channel *c = way_and_fd(way, stall_timeout_ms, ret_fd);
    struct error err;

    set_buffers(*ret_fd, 4096);
    set_buffers(c->fd, 1 << 20);
    OK(channel_send(c, stuck, sizeof(stuck), CHANNEL_BORROW, &err), err, "into the buffer");
    return c;
}

static void *drain_main(void *arg)
{
    struct transfer *t = arg;

    t->rc = channel_drain(t->channel, &t->err);
    return NULL;
}

static void interrupt_wakes_a_drain(void **state)
{
    int peer;
    struct transfer t = {.channel = stuck_channel(*state, 0, &peer)};
    pthread_t thread;

    pthread_create(&thread, NULL, drain_main, &t);
    channel_interrupt(t.channel);
    pthread_join(thread, NULL);
    check_refused("interrupt", t.rc, &t.err, ERR_CANCELLED, "interrupted");
    channel_free(t.channel);
    close(peer);
}

static void silence_ends_a_drain(void **state)
{
    int peer;
    struct channel *c = stuck_channel(*state, 3, &peer);
    struct error err;

    check_refused("nobody reads", channel_drain(c, &err), &err, ERR_PEER, "read nothing for 0.0 s");
    channel_free(c);
    close(peer);
}

/* The peer resets: all queued bytes are given back at once, whatever the drain returns. */
static void a_drain_ends_with_the_connection(void **state)
{
    int peer;
    struct channel *c = stuck_channel(*state, 0, &peer);
    struct error err;

    close(peer);
    if (channel_drain(c, &err) < 0)
        check_refused("reset", -1, &err, ERR_SYSTEM, "wait for memory that is being sent");
    channel_free(c);
}

/* A send without copying is reported in parts there; only io_uring collects the parts. */
static void vsock_lends_by_uring_only(void **state)
{
    const struct engine *engine;
    struct channel *c;
    struct error err;
    int fds[2];

    (void)state;
    if (!vsock_pair(fds)) {
        print_message("skipped: no vsock loopback: %s\n", strerror(errno));
        skip();
    }
    OK(engine_find("socket", &engine, &err), err, "engine");
    check_refused("vsock",
                  engine->open(fds[0], &(struct engine_config){.zero_copy = true}, &c, &err), &err,
                  ERR_USAGE, "--engine uring");
    close(fds[1]);
}

static const struct body {
    const char *name;
    void (*run)(void **state);
    bool zero_copy_only, vsock;
} bodies[] = {
    {"refuses_what_is_no_socket", refuses_what_is_no_socket, false, false},
    {"gathers_and_scatters", gathers_and_scatters, false, true},
    {"takes_at_least_min", takes_at_least_min, false, true},
    {"empty_transfers_are_fine", empty_transfers_are_fine, false, false},
    {"tells_how_the_peer_closed", tells_how_the_peer_closed, false, true},
    {"peeks_and_does_not_wait", peeks_and_does_not_wait, false, false},
    {"a_recall_takes_what_had_come", a_recall_takes_what_had_come, false, true},
    {"a_recall_wakes_who_waits", a_recall_wakes_who_waits, false, true},
    {"send_to_a_closed_peer_fails", send_to_a_closed_peer_fails, false, false},
    {"interrupt_wakes_a_receiver", interrupt_wakes_a_receiver, false, false},
    {"interrupt_wakes_a_sender", interrupt_wakes_a_sender, false, false},
    {"what_came_before_the_interrupt_is_read", what_came_before_the_interrupt_is_read, false,
     false},
    {"nowait_fails_rather_than_waits", nowait_fails_rather_than_waits, false, false},
    {"silence_ends_in_an_error", silence_ends_in_an_error, false, false},
    {"silence_inside_a_record_too", silence_inside_a_record_too, false, false},
    {"silence_between_records_is_borne", silence_between_records_is_borne, false, false},
    {"ticks_lose_nothing_of_a_slow_sender", ticks_lose_nothing_of_a_slow_sender, false, false},
    {"ticks_lose_nothing_of_a_slow_receiver", ticks_lose_nothing_of_a_slow_receiver, false, false},
    {"signals_do_no_harm", signals_do_no_harm, false, false},
    {"sends_a_piece_of_a_file", sends_a_piece_of_a_file, false, false},
    {"only_what_can_borrow_says_so", only_what_can_borrow_says_so, true, false},
    {"what_is_drained_may_be_overwritten", what_is_drained_may_be_overwritten, true, true},
    {"shortage_is_met_by_copying", shortage_is_met_by_copying, true, false},
    {"interrupt_wakes_a_drain", interrupt_wakes_a_drain, true, false},
    {"silence_ends_a_drain", silence_ends_a_drain, true, false},
    {"a_drain_ends_with_the_connection", a_drain_ends_with_the_connection, true, false},
};

static const struct CMUnitTest once[] = {
    cmocka_unit_test(finds_by_name),
    cmocka_unit_test(advances_over_pieces),
    cmocka_unit_test(vsock_lends_by_uring_only),
};

#define TESTS_MAX (ARRAY_LEN(once) + ARRAY_LEN(bodies) * ARRAY_LEN(ways))
static char names[TESTS_MAX][100];
static struct CMUnitTest tests[TESTS_MAX];

static bool usable(const struct way *way)
{
    const struct engine *engine;
    char why[100];
    struct error err;
    int fds[2];

    if (way->vsock && !vsock_pair(fds)) {
        print_message("skipped: %s: no vsock loopback: %s\n", way->label, strerror(errno));
        return false;
    }
    if (way->vsock) {
        close(fds[0]);
        close(fds[1]);
    }
    if (engine_find(way->engine, &engine, &err) < 0) {
        print_message("skipped: %s: %s\n", way->label, err.text);
        return false;
    }
    if (!engine->usable || engine->usable(way->zero_copy, why, sizeof(why)))
        return true;
    print_message("skipped: %s: %s\n", way->label, why);
    return false;
}

/* Every test for every way that it applies to and that exists here. Returns the number of tests. */
static size_t make_tests(void)
{
    size_t n = ARRAY_LEN(once);

    memcpy(tests, once, sizeof(once));
    for (const struct way *way = ways; way < ways + ARRAY_LEN(ways); way++) {
        if (!usable(way))
            continue;
        for (const struct body *body = bodies; body < bodies + ARRAY_LEN(bodies); body++) {
            if ((body->zero_copy_only && !way->zero_copy) || (way->vsock && !body->vsock))
                continue;
            snprintf(names[n], sizeof(names[n]), "%s (%s)", body->name, way->label);
            tests[n] = (struct CMUnitTest){names[n], body->run, NULL, NULL, (void *)way};
            n++;
        }
    }
    return n;
}

/* An argument selects tests by name: '*drain*'. */
int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests("transport.engine", tests, make_tests(), NULL, NULL);
}
