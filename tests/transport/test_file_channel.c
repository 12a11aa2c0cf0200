#include "transport/file_channel.h"

#include <sys/uio.h>
#include <unistd.h>

#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

static void reads_from_its_offset(void **state)
{
    int fd = bytes_fd("0123456789", 10);
    struct channel *c;
    struct error err;
    char bytes[8] = "";
    struct iovec iov = {bytes, 4};
    size_t got;

    (void)state;
    OK(file_channel_open(fd, 3, &c, &err), err, "open");
    close(fd); /* the channel has a duplicate */
    OK(channel_recvv(c, &iov, 1, 4, 0, &got, &err), err, "read");
    assert_string_equal(bytes, "3456");
    file_channel_seek(c, 1);
    iov = (struct iovec){bytes, 2};
    OK(channel_recvv(c, &iov, 1, 2, 0, &got, &err), err, "read behind a seek");
    assert_memory_equal(bytes, "12", 2);
    CHECK(c->bytes_received == 6, "the counter");
    channel_free(c);
}

static void writes_at_its_offset(void **state)
{
    int fd = bytes_fd("..........", 10);
    struct channel *c;
    struct error err;

    (void)state;
    OK(file_channel_open(fd, 2, &c, &err), err, "open");
    OK(channel_send(c, "ab", 2, 0, &err), err, "write");
    file_channel_seek(c, 8);
    OK(channel_send(c, "cdef", 4, 0, &err), err, "write behind a seek");
    struct buf b = bytes_of_fd(fd);
    CHECK(b.len == 12 && memcmp(b.data, "..ab....cdef", 12) == 0, "found %.*s", (int)b.len, b.data);
    buf_done(&b);
    channel_free(c);
    close(fd);
}

static void gathers_more_than_one_call_takes(void **state)
{
    enum { N = 2500 };
    static uint8_t bytes[N * 3], back[N * 3];
    static struct iovec out[N], in[N];
    int fd = bytes_fd(NULL, 0);
    struct channel *c;
    struct error err;
    size_t got;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 11);
    for (size_t i = 0; i < N; i++) {
        out[i] = (struct iovec){bytes + 3 * i, 3};
        in[i] = (struct iovec){back + 3 * i, 3};
    }
    OK(file_channel_open(fd, 0, &c, &err), err, "open");
    OK(channel_sendv(c, out, N, 0, &err), err, "write");
    file_channel_seek(c, 0);
    OK(channel_recvv(c, in, N, sizeof(back), 0, &got, &err), err, "read");
    assert_memory_equal(bytes, back, sizeof(bytes));
    channel_free(c);
    close(fd);
}

static const struct end_case {
    const char *label;
    size_t min;
    unsigned flags;
    const char *refused;
    size_t got;
} end_cases[] = {
    {"all of it", 5, 0, NULL, 5},
    {"less than there is", 2, 0, NULL, 5},
    {"one more", 6, 0, "the file ends, 1 more bytes expected", 0},
    {"one more, may idle", 6, CHANNEL_MAY_IDLE, "the file ends, 1 more", 0},
};

static void tells_of_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(end_cases); i++) {
        const struct end_case *e = &end_cases[i];
        struct channel *c = bytes_channel("12345", 5);
        char bytes[16];
        struct iovec iov = {bytes, sizeof(bytes)};
        struct error err;
        size_t got = 0;
        int rc = channel_recvv(c, &iov, 1, e->min, e->flags, &got, &err);

        if (e->refused)
            check_refused(e->label, rc, &err, ERR_PEER, e->refused);
        else
            CHECK(rc == 0 && got == e->got, "%s: %zu bytes", e->label, got);
        channel_free(c);
    }
    struct channel *c = bytes_channel(NULL, 0);
    char byte;
    struct iovec iov = {&byte, 1};
    struct error err;
    size_t got = 1;
    OK(channel_recvv(c, &iov, 1, 1, CHANNEL_MAY_IDLE, &got, &err), err, "empty, may idle");
    CHECK(got == 0, "%zu bytes of an empty file", got);
    channel_free(c);
}

static void errors_are_the_kernels(void **state)
{
    int fds[2];
    struct channel *c;
    struct error err;

    (void)state;
    CHECK(pipe(fds) == 0, "pipe");
    OK(file_channel_open(fds[1], 0, &c, &err), err, "open");
    check_refused("a pipe has no positions", channel_send(c, "x", 1, 0, &err), &err, ERR_SYSTEM,
                  "write: Illegal seek");
    channel_interrupt(c);
    OK(channel_drain(c, &err), err, "drain");
    channel_free(c);
    CHECK(close(fds[1]) == 0, "the descriptor did not stay ours");
    check_refused("no descriptor", file_channel_open(fds[1], 0, &c, &err), &err, ERR_SYSTEM,
                  "dup: Bad file descriptor");
    close(fds[0]);
}

static bool takes_nothing;

ssize_t __real_pwritev(int fd, const struct iovec *iov, int n, off_t at);
ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int n, off_t at);

ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
    return takes_nothing ? 0 : __real_pwritev(fd, iov, n, at);
}

/* The channel does not repeat such a write without end. */
static void a_write_of_nothing_is_an_error(void **state)
{
    int fd = bytes_fd(NULL, 0);
    struct channel *c;
    struct error err;

    (void)state;
    OK(file_channel_open(fd, 0, &c, &err), err, "open");
    takes_nothing = true;
    check_refused("nothing taken", channel_send(c, "ab", 2, 0, &err), &err, ERR_SYSTEM, "write");
    takes_nothing = false;
    channel_free(c);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_from_its_offset),
        cmocka_unit_test(writes_at_its_offset),
        cmocka_unit_test(gathers_more_than_one_call_takes),
        cmocka_unit_test(tells_of_the_end),
        cmocka_unit_test(errors_are_the_kernels),
        cmocka_unit_test(a_write_of_nothing_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
