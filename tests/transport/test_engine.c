/* One body of tests over every engine of the table: today that is one. */
#include "transport/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

static const struct find_case {
    const char *name, *refused;
} find_cases[] = {
    {"auto", NULL},
    {"socket", NULL},
    {"uring", "this build has: auto, socket"},
    {"", "this build has: "},
    {"Socket", "this build has: "},
};

static void finds_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(find_cases); i++) {
        const struct find_case *c = &find_cases[i];
        const struct engine *engine = NULL;
        struct error err;
        int rc = engine_find(c->name, &engine, &err);

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

    (void)state;
    OK(engine_find("auto", &engine, &err), err, "auto");
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

    t->rc = channel_sendv(t->channel, t->iov, t->n, 0, &t->err);
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

static void set_buffer(int fd, int bytes)
{
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

/* A pair whose buffers are as small as the kernel allows. */
static void small_pair(struct channel *ret[static 2])
{
    const struct engine *engine;
    struct error err;
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
    OK(engine_find("auto", &engine, &err), err, "auto");
    for (int i = 0; i < 2; i++) {
        set_buffer(fds[i], 1);
        OK(engine->open(fds[i], &(struct engine_config){0}, &ret[i], &err), err, "open");
    }
}

static void gathers_and_scatters(void **state)
{
    struct channel *pair[2];
    struct error err;
    pthread_t thread;
    size_t len = cut(big.iov_out, big.sent), got = 0;

    (void)state;
    fill_sent();
    small_pair(pair);
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

    (void)state;
    channel_pair(0, pair);
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

    (void)state;
    channel_pair(0, pair);
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
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(close_cases); i++) {
        const struct close_case *c = &close_cases[i];
        uint8_t bytes[8];
        struct iovec iov = {bytes, sizeof(bytes)};
        struct error err;
        size_t got = 99;
        int peer;
        struct channel *channel = channel_and_fd(0, &peer);

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

/* What wraps a channel looks before it takes, and must never wait while it holds its own lock. */
static void peeks_and_does_not_wait(void **state)
{
    uint8_t bytes[8] = {0};
    struct error err;
    size_t got = 99;
    int peer;
    struct channel *c = channel_and_fd(0, &peer);

    (void)state;
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

static void send_to_a_closed_peer_fails(void **state)
{
    struct error err;
    int peer;
    struct channel *c = channel_and_fd(0, &peer);

    (void)state;
    close(peer);
    check_refused("closed peer", channel_send(c, "x", 1, 0, &err), &err, ERR_SYSTEM, "send");
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
    struct channel *c = channel_and_fd(0, &peer);
    struct transfer t = {.channel = c, .len = 10};
    pthread_t thread;

    (void)state;
    pthread_create(&thread, NULL, receive_all, &t);
    channel_interrupt(c); /* before, while or after it blocks: all must end the same way */
    pthread_join(thread, NULL);
    check_refused("interrupt", t.rc, &t.err, ERR_CANCELLED, "interrupted");
    channel_free(c);
    close(peer);
}

/* Full buffers: the sender is certainly blocked, or about to be. */
static void interrupt_wakes_a_sender(void **state)
{
    int peer;
    struct channel *c = channel_and_fd(0, &peer);
    struct transfer t = {.channel = c, .iov = big.iov_out, .n = PIECES};
    pthread_t thread;
    char byte;

    (void)state;
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
    struct channel *c = channel_and_fd(0, &peer);
    struct transfer t = {.channel = c, .len = 4};

    (void)state;
    CHECK(write(peer, "SHUT", 4) == 4, "write");
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
    struct channel *c = channel_and_fd(0, &peer);
    struct transfer t = {.channel = c, .iov = big.iov_out, .n = PIECES};
    struct error err;

    (void)state;
    OK(channel_send(c, "SHUT", 4, CHANNEL_NOWAIT, &err), err, "there is room");
    cut(big.iov_out, big.sent);
    CHECK(channel_sendv(c, t.iov, t.n, CHANNEL_NOWAIT, &err) < 0, "nobody reads");
    CHECK(err.kind == ERR_SYSTEM && err.sys == EAGAIN, "errno %d: %s", err.sys, err.text);
    channel_free(c);
    close(peer);
}

/* --- time ------------------------------------------------------------------------------------ */

/* A channel whose blocking calls return every millisecond: silence is noticed fast. */
static struct channel *fast_channel(uint64_t stall_timeout_ms, int *ret_peer)
{
    struct engine_config config = {.stall_timeout_ms = stall_timeout_ms};
    struct timeval tick = {.tv_usec = 1000};
    const struct engine *engine;
    struct channel *c;
    struct error err;
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
    int same = dup(fds[0]); /* the timeouts are the socket's, not the descriptor's */
    OK(engine_find("auto", &engine, &err), err, "auto");
    OK(engine->open(fds[0], &config, &c, &err), err, "open");
    setsockopt(same, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
    setsockopt(same, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof(tick));
    close(same);
    *ret_peer = fds[1];
    return c;
}

static void silence_ends_in_an_error(void **state)
{
    int peer;
    struct channel *c = fast_channel(3, &peer);
    struct transfer in = {.channel = c, .len = 4};
    struct transfer out = {.channel = c, .iov = big.iov_out, .n = PIECES};

    (void)state;
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
    struct channel *c = fast_channel(3, &peer);
    uint8_t bytes[4];
    struct iovec iov = {bytes, sizeof(bytes)};
    struct error err;
    size_t got;

    (void)state;
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

    /* A few ticks. However long this takes, the other side has to bear it. */
    poll(&never, 1, 20);
    CHECK(write(*peer, "x", 1) == 1, "write");
    return NULL;
}

static void silence_between_records_is_borne(void **state)
{
    int peer;
    struct channel *c = fast_channel(1, &peer);
    char byte;
    struct iovec iov = {&byte, 1};
    struct error err;
    pthread_t thread;
    size_t got;

    (void)state;
    pthread_create(&thread, NULL, write_when_asleep, &peer);
    int rc = channel_recvv(c, &iov, 1, 1, CHANNEL_MAY_IDLE, &got, &err);
    pthread_join(thread, NULL);
    OK(rc, err, "between records");
    channel_free(c);
    close(peer);
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

    (void)state;
    sigaction(SIGUSR1, &act, NULL);
    fill_sent();
    small_pair(pair);
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

/* A header from memory and a piece of a file behind it arrive as one; a cut file is noticed. */
static void sends_a_piece_of_a_file(void **state)
{
    enum { FILE_LEN = 60000, FROM = 1000, LEN = 50000 };
    uint8_t *bytes = malloc(FILE_LEN), *got = malloc(LEN + 4);
    struct channel *pair[2];
    struct iovec head = {"head", 4}, all = {got, LEN + 4};
    struct error err;
    size_t len;

    (void)state;
    for (size_t i = 0; i < FILE_LEN; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    int fd = bytes_fd(bytes, FILE_LEN);
    channel_pair(0, pair);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_name),
        cmocka_unit_test(refuses_what_is_no_socket),
        cmocka_unit_test(gathers_and_scatters),
        cmocka_unit_test(takes_at_least_min),
        cmocka_unit_test(empty_transfers_are_fine),
        cmocka_unit_test(tells_how_the_peer_closed),
        cmocka_unit_test(peeks_and_does_not_wait),
        cmocka_unit_test(send_to_a_closed_peer_fails),
        cmocka_unit_test(interrupt_wakes_a_receiver),
        cmocka_unit_test(interrupt_wakes_a_sender),
        cmocka_unit_test(what_came_before_the_interrupt_is_read),
        cmocka_unit_test(nowait_fails_rather_than_waits),
        cmocka_unit_test(silence_ends_in_an_error),
        cmocka_unit_test(silence_inside_a_record_too),
        cmocka_unit_test(silence_between_records_is_borne),
        cmocka_unit_test(signals_do_no_harm),
        cmocka_unit_test(sends_a_piece_of_a_file),
        cmocka_unit_test(advances_over_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
