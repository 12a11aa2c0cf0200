/*
 * What only io_uring has: registered memory, falling back where it is forbidden, many rings. What
 * it shares with the other engines is in test_engine.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"
#include "transport/engine.h"
#include "transport/uring_memory.h"

static const struct engine *uring_engine(void)
{
    const struct engine *engine;
    struct error err;

    OK(engine_find("uring", &engine, &err), err, "uring");
    return engine;
}

/* A channel over TCP on loopback that borrows, and its peer. */
static struct channel *borrowing(int *ret_peer)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct channel *c;
    struct error err;

    CHECK(bind(listening, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(listening, 1) == 0 &&
              getsockname(listening, (struct sockaddr *)&sa, &len) == 0 &&
              connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0,
          "a TCP connection to ourselves");
    *ret_peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    close(listening);
    OK(uring_engine()->open(fd, &(struct engine_config){.zero_copy = true}, &c, &err), err, "open");
    return c;
}

/* --- registered memory ----------------------------------------------------------------------- */

#define MEMORY_LEN (4 << 20)

static uint8_t *memfd_memory(void)
{
    int fd = memfd_create("guest", MFD_CLOEXEC);

    CHECK(ftruncate(fd, MEMORY_LEN) == 0, "memfd");
    uint8_t *memory = mmap(NULL, MEMORY_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(memory != MAP_FAILED, "map a memfd");
    close(fd);
    return memory;
}

static uint8_t *filled_memory(void)
{
    uint8_t *memory = memfd_memory();

    for (size_t i = 0; i < MEMORY_LEN; i++)
        memory[i] = (uint8_t)(i * 31 + i / 4096);
    return memory;
}

static void *read_all(void *arg)
{
    const int *fd = arg;
    uint8_t *got = malloc(MEMORY_LEN), *at = got;

    for (ssize_t n; at < got + MEMORY_LEN; at += MAX(n, 0)) {
        n = read(*fd, at, (size_t)(got + MEMORY_LEN - at));
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
    }
    return got;
}

/* Two channels that share one registration: whole runs, scattered pages, and memory outside of
 * it. */
static void sends_out_of_registered_memory(void **state)
{
    uint8_t *memory = filled_memory();
    struct iovec all = {memory, MEMORY_LEN};
    struct error err;

    (void)state;
    for (int round = 0; round < 2; round++) {
        struct iovec runs[] = {{memory, 1 << 20}, {memory + (1 << 20), 1 << 20}};
        struct iovec rest = {memory + (2 << 20), 2 << 20};
        int peers[2];
        struct channel *c[2] = {borrowing(&peers[0]), borrowing(&peers[1])};

        for (int i = 0; i < 2; i++) {
            pthread_t thread;
            struct iovec pieces[] = {runs[0], runs[1]};
            struct iovec last = rest;
            void *got;

            channel_offer_memory(c[i], &all, 1);
            CHECK(uring_memory_refusal()[0] == 0, "refused: %s", uring_memory_refusal());
            pthread_create(&thread, NULL, read_all, &peers[i]);
            OK(channel_sendv(c[i], pieces, 2, CHANNEL_BORROW, &err), err, "two pieces");
            OK(channel_sendv(c[i], &last, 1, CHANNEL_BORROW, &err), err, "one piece");
            OK(channel_drain(c[i], &err), err, "drain");
            pthread_join(thread, &got);
            assert_memory_equal(got, memory, MEMORY_LEN);
            free(got);
        }
        for (int i = 0; i < 2; i++) {
            channel_free(c[i]);
            close(peers[i]);
        }
    }
    munmap(memory, MEMORY_LEN);
}

static void finds_the_buffer_of_a_piece(void **state)
{
    uint8_t *memory = filled_memory();
    /* Unordered, with a hole, and two ranges that touch. */
    struct iovec pieces[] = {
        {memory + 0x200000, 0x100000}, {memory, 0x10000}, {memory + 0x10000, 0x10000}};
    static const struct {
        size_t at, len;
        int found;
    } cases[] = {
        {0, 0x10000, 0},          {0, 1, 0},        {0xffff, 1, 0},         {0xffff, 2, -1},
        {0x10000, 0x10000, 1},    {0x1ffff, 1, 1},  {0x20000, 1, -1},       {0x1fffff, 1, -1},
        {0x200000, 0x1000, 2},    {0x2fffff, 1, 2}, {0x2ff000, 0x2000, -1}, {0x300000, 1, -1},
        {0x200000, SIZE_MAX, -1},
    };
    struct zero_copy z = {0};
    struct uring u = {0};

    (void)state;
    assert_int_equal(uring_init(&u, &z), 0);
    struct uring_memory *m = uring_memory_get(&u, pieces, ARRAY_LEN(pieces));
    CHECK(m, "%s", uring_memory_refusal());
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int found = uring_memory_find(m, memory + cases[i].at, cases[i].len);

        CHECK(found == cases[i].found, "case %zu: %d", i, found);
    }
    uring_done(&u);
    uring_memory_put(m);
    munmap(memory, MEMORY_LEN);
}

/* Registering must not allocate memory that the guest has never touched. */
static void what_was_never_touched_is_not_made(void **state)
{
    uint8_t *memory = memfd_memory();
    struct iovec all = {memory, MEMORY_LEN};
    struct zero_copy z = {0};
    struct uring u = {0};
    unsigned char present;

    (void)state;
    memory[0] = 1;
    assert_int_equal(uring_init(&u, &z), 0);
    CHECK(!uring_memory_get(&u, &all, 1), "registered");
    CHECK(strstr(uring_memory_refusal(), "never touched"), "%s", uring_memory_refusal());
    CHECK(mincore(memory + MEMORY_LEN - 4096, 4096, &present) == 0 && !(present & 1), "made");
    uring_done(&u);
    munmap(memory, MEMORY_LEN);
}

/* --- where it is forbidden ------------------------------------------------------------------- */

/* The test continues in a child, since what it does to itself cannot be undone. */
static void in_a_child(const char *label, int (*body)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(body());
    CHECK(waitpid(child, &status, 0) == child, "waitpid");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("skipped: only root can become somebody with less memory to lock\n");
        skip();
    }
    CHECK(status == 0, "%s: status %#x", label, status);
}

static int pin_with_little_memlock(void)
{
    struct rlimit limit = {64 << 10, 64 << 10};
    uint8_t *memory = filled_memory();
    struct iovec all = {memory, MEMORY_LEN};
    struct zero_copy z = {0};
    struct uring u = {0};

    /* The limit counts everything that a user's processes have locked: this user has no other. */
    uid_t user = 1000000 + (uid_t)getpid();

    if (geteuid() != 0)
        return 77;
    if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || setgid(user) < 0 || setuid(user) < 0)
        return 1;
    if (uring_init(&u, &z) < 0 || uring_memory_get(&u, &all, 1))
        return 2;
    uring_done(&u);
    return strstr(uring_memory_refusal(), "RLIMIT_MEMLOCK") ? 0 : 3;
}

static void little_memlock_registers_nothing(void **state)
{
    (void)state;
    in_a_child("memlock", pin_with_little_memlock);
}

static int forbid_io_uring(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_LEN(filter), filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int open_where_forbidden(void)
{
    char notice[ENGINE_NOTICE_LEN];
    struct channel *c;
    struct error err;
    int fds[2];

    if (forbid_io_uring() < 0)
        return 1;
    const struct engine *chosen = engine_choose(uring_engine(), false, notice);
    if (strcmp(chosen->name, "socket") != 0 || !strstr(notice, "Operation not permitted"))
        return 2;
    /* A caller that did not ask for this engine gets a channel nevertheless. */
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 ||
        uring_engine()->open(fds[0], &(struct engine_config){0}, &c, &err) < 0)
        return 3;
    if (strcmp(c->ops->name, "socket") != 0 || channel_send(c, "x", 1, 0, &err) < 0)
        return 4;
    channel_free(c);
    close(fds[1]);
    return 0;
}

static void forbidden_means_the_socket_engine(void **state)
{
    (void)state;
    in_a_child("seccomp", open_where_forbidden);
}

static void what_is_usable_is_chosen_in_silence(void **state)
{
    char notice[ENGINE_NOTICE_LEN] = "x";

    (void)state;
    assert_ptr_equal(engine_choose(uring_engine(), false, notice), uring_engine());
    assert_string_equal(notice, "");
    assert_ptr_equal(engine_choose(uring_engine(), true, notice), uring_engine());
}

/* --- many ------------------------------------------------------------------------------------ */

static void many_channels_at_once(void **state)
{
    enum { N = 64 };
    struct channel *c[N];
    int peers[N];
    struct error err;

    (void)state;
    for (int i = 0; i < N; i++)
        c[i] = borrowing(&peers[i]);
    for (int i = 0; i < N; i++) {
        CHECK(strcmp(c[i]->ops->name, "uring") == 0, "channel %d: %s", i, c[i]->ops->name);
        OK(channel_send(c[i], "a header, ", 10, CHANNEL_MORE, &err), err, "header");
        OK(channel_send(c[i], "pages", 5, CHANNEL_BORROW, &err), err, "pages");
        OK(channel_drain(c[i], &err), err, "drain");
    }
    for (int i = 0; i < N; i++) {
        char got[16] = "";

        CHECK(recv(peers[i], got, 15, MSG_WAITALL) == 15, "channel %d", i);
        assert_string_equal(got, "a header, pages");
        channel_free(c[i]);
        close(peers[i]);
    }
}

/* A packet without pages: the header that was held back for pages leaves with the drain. */
static void a_header_alone_leaves_with_the_drain(void **state)
{
    int peer;
    struct channel *c = borrowing(&peer);
    struct error err;
    char got[8] = "";

    (void)state;
    OK(channel_send(c, "sy", 2, CHANNEL_MORE, &err), err, "header");
    OK(channel_send(c, "nc", 2, CHANNEL_MORE, &err), err, "another");
    OK(channel_drain(c, &err), err, "drain");
    CHECK(recv(peer, got, 4, MSG_WAITALL) == 4, "recv");
    assert_string_equal(got, "sync");
    assert_int_equal(c->bytes_sent, 4);
    channel_free(c);
    close(peer);
}

/* The kernel accepts no operation any more: each one gets a result nevertheless. */
static void a_ring_that_is_refused_fails_what_is_asked(void **state)
{
    struct zero_copy none = {0};
    struct uring u = {0};
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)state;
    CHECK(uring_init(&u, &none) == 0 && dup2(nothing, u.ring.ring_fd) >= 0,
          "a ring without a file");
    for (int run = 0; run < 10; run++) {
        io_uring_prep_nop(uring_op(&u));
        io_uring_prep_nop(uring_op(&u));
        uring_run(&u, 100);
        CHECK(u.results[0] == -EOPNOTSUPP && u.results[1] == -EOPNOTSUPP, "run %d: %d, %d", run,
              u.results[0], u.results[1]);
    }
    CHECK(uring_await_returned(&u, nothing, 0) == -1 && errno == EOPNOTSUPP, "%s", strerror(errno));
    uring_done(&u);
    close(nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_out_of_registered_memory),
        cmocka_unit_test(finds_the_buffer_of_a_piece),
        cmocka_unit_test(what_was_never_touched_is_not_made),
        cmocka_unit_test(little_memlock_registers_nothing),
        cmocka_unit_test(forbidden_means_the_socket_engine),
        cmocka_unit_test(what_is_usable_is_chosen_in_silence),
        cmocka_unit_test(many_channels_at_once),
        cmocka_unit_test(a_header_alone_leaves_with_the_drain),
        cmocka_unit_test(a_ring_that_is_refused_fails_what_is_asked),
    };
    struct uring u = {0};

    if (uring_init(&u, NULL) < 0 || !uring_can_lend())
        skip_all("this kernel has no io_uring that sends without copying");
    uring_done(&u);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
