/* The monitor's connections: many clients, slow ones, ill-behaved ones, and the end. */
#include "control/qmp_server.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "control/qmp_client.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "transport/transport.h"

#define NEGOTIATE "{\"execute\": \"qmp_capabilities\"}\n"

static const struct cancel never = {.fd = -1};
static const struct transport_config dialling = {.cancel = &never};

/* --- a poll(2) that fails -------------------------------------------------------------------- */

static _Atomic bool poll_fails; /* in every thread but the test's own */
static pthread_t own_thread;

int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    if (!poll_fails || pthread_equal(pthread_self(), own_thread))
        return __real_poll(fds, n, timeout_ms);
    errno = ENOMEM;
    return -1;
}

/* --- a monitor ------------------------------------------------------------------------------- */

static int run_long(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    static char text[65537];

    (void)arg;
    (void)arguments;
    (void)err;
    memset(text, 'x', sizeof(text) - 1);
    *ret = json_string(text);
    return 0;
}

static int run_count(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    _Atomic unsigned *n = arg;

    (void)arguments;
    (void)err;
    *ret = json_integer((*n)++);
    return 0;
}

/* Counts long before its answer is made. */
static int run_count_long(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    _Atomic unsigned *n = arg;

    (*n)++;
    return run_long(arg, arguments, ret, err);
}

static const struct qmp_command commands[] = {
    {.name = "count-long", .run = run_count_long},
    {.name = "long", .run = run_long},
    {.name = "count", .run = run_count},
};

struct monitor {
    _Atomic unsigned n;
    struct qmp_table table;
    struct qmp_server *server;
    struct address at, tcp;
    char path[PATH_MAX];
};

static void parse(const char *text, struct address *ret)
{
    struct error err;

    OK(address_parse(text, ret, &err), err, text);
}

static void monitor_start(struct monitor *m)
{
    char text[300];
    struct error err;

    *m = (struct monitor){.n = 0};
    m->table = (struct qmp_table){commands, ARRAY_LEN(commands), &m->n};
    const struct qmp_registry registry = {&m->table, 1, "test"};
    OK(qmp_server_new(&registry, &m->server, &err), err, "server");
    snprintf(text, sizeof(text), "unix:%s", temp_path(m->path, "qmp"));
    parse(text, &m->at);
    OK(qmp_server_listen(m->server, &m->at, &dialling, &err), err, text);
    parse("tcp:127.0.0.1:0", &m->tcp);
    OK(qmp_server_listen(m->server, &m->tcp, &dialling, &err), err, "tcp");
    parse(qmp_server_address(m->server, 1), &m->tcp);
    assert_null(qmp_server_address(m->server, 2));
    OK(qmp_server_start(m->server, &err), err, "start");
}

static void monitor_end(struct monitor *m)
{
    qmp_server_free(m->server);
    CHECK(access(m->path, F_OK) < 0, "the socket's path was left behind");
}

/* --- clients --------------------------------------------------------------------------------- */

static int dial(const struct address *to)
{
    struct error err;
    int fd;

    OK(transport_dial(to, &dialling, &fd, &err), err, "dial");
    return fd;
}

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, HANG_MS) == 1;
}

static void put(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads until `part` or the end has come. The caller frees what has come, terminated. */
static struct buf hear(int fd, const char *part)
{
    struct buf heard = {0};
    struct error err;
    char bytes[65536];
    ssize_t n;

    do {
        CHECK(readable(fd), "nothing came; expected %s", part ? part : "the end");
        n = recv(fd, bytes, sizeof(bytes), 0);
        OK(buf_append(&heard, bytes, n > 0 ? (size_t)n : 0, &err), err, "heard");
        OK(buf_append(&heard, "", 1, &err), err, "heard");
        heard.len--;
        if (part && strstr((char *)heard.data, part))
            return heard;
    } while (n > 0);
    CHECK(!part, "the connection ended; expected %s in: %s", part, (char *)heard.data);
    return heard;
}

static void expect(int fd, const char *part)
{
    struct buf heard = hear(fd, part);

    buf_done(&heard);
}

static struct qmp_client *open_client(const struct address *at)
{
    struct qmp_client *c;
    struct error err;

    OK(qmp_client_open(at, deadline_in_ms(HANG_MS), &never, &c, &err), err, "client");
    return c;
}

static json_int_t counted(struct qmp_client *c)
{
    struct error err;
    json_t *answer;

    OK(qmp_client_execute(c, "count", NULL, &answer, &err), err, "count");
    json_int_t n = json_integer_value(answer);
    json_decref(answer);
    return n;
}

/* --- tests ----------------------------------------------------------------------------------- */

static void told_to_go(int fd, const char *who)
{
    struct buf heard = hear(fd, NULL);

    CHECK(strstr((char *)heard.data, "too many clients: this one, idle for"), "%s: %s", who,
          (char *)heard.data);
    buf_done(&heard);
}

/* The greatest allowed number of clients stay, idle or not; one more replaces the idlest one. */
static void test_many_clients(void **state)
{
    struct qmp_client *clients[QMP_CLIENTS_MAX - 2];
    struct monitor m;

    (void)state;
    monitor_start(&m);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        clients[i] = open_client(i % 2 ? &m.at : &m.tcp);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        assert_int_equal(counted(clients[i]), i);
    AUTO_FD int older = dial(&m.at); /* these two have not negotiated */
    expect(older, "\"QMP\"");
    AUTO_FD int newer = dial(&m.tcp);
    expect(newer, "\"QMP\"");
    struct qmp_client *more = open_client(&m.at);
    told_to_go(older, "the older stranger");
    struct qmp_client *again = open_client(&m.tcp);
    told_to_go(newer, "the newer stranger");
    /* All clients have negotiated now. All but one send a command: the idle one is closed. */
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        if (i != 7)
            counted(clients[i]);
    }
    counted(more);
    counted(again);
    struct qmp_client *last = open_client(&m.at);
    counted(last);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        struct error err;

        if (i != 7) {
            counted(clients[i]);
            continue;
        }
        int rc = qmp_client_execute(clients[i], "count", NULL, NULL, &err);
        CHECK(rc < 0, "client 7 is still there");
    }
    counted(more);
    counted(again);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        qmp_client_close(clients[i]);
    qmp_client_close(more);
    qmp_client_close(again);
    qmp_client_close(last);
    monitor_end(&m);
}

/* Hundreds of clients that never negotiate keep no other client out. */
static void test_strangers(void **state)
{
    int strangers[10 * QMP_CLIENTS_MAX];
    struct monitor m;

    (void)state;
    monitor_start(&m);
    struct qmp_client *early = open_client(&m.at);
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
        strangers[i] = dial(i % 2 ? &m.at : &m.tcp);
    struct qmp_client *late = open_client(&m.at);
    assert_int_equal(counted(early), 0);
    assert_int_equal(counted(late), 1);
    told_to_go(strangers[0], "the first stranger");
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
        close(strangers[i]);
    qmp_client_close(early);
    qmp_client_close(late);
    monitor_end(&m);
}

static void test_events(void **state)
{
    struct monitor m;

    (void)state;
    monitor_start(&m);
    AUTO_FD int ready = dial(&m.at), stranger = dial(&m.tcp);
    put(ready, NEGOTIATE);
    expect(ready, "{\"return\": {}}\r\n");
    expect(stranger, "\"capabilities\": []}}\r\n");
    qmp_server_event(m.server, "STOP", NULL);
    qmp_server_event(m.server, "MIGRATION", json_pack("{s:s}", "status", "setup"));
    struct buf heard = hear(ready, "setup");
    const char *stop = strstr((char *)heard.data, "\"event\": \"STOP\"}\r\n");
    const char *timestamp = strstr((char *)heard.data, "{\"timestamp\": {\"seconds\": ");
    CHECK(stop && timestamp && timestamp < stop &&
              strstr(stop, "\"event\": \"MIGRATION\", \"data\": {\"status\": \"setup\"}}\r\n"),
          "%s", (char *)heard.data);
    buf_done(&heard);
    put(stranger, NEGOTIATE);
    heard = hear(stranger, "}\r\n");
    CHECK(strcmp((char *)heard.data, "{\"return\": {}}\r\n") == 0,
          "heard before it had negotiated: %s", (char *)heard.data);
    buf_done(&heard);
    monitor_end(&m);
}

/* Commands without end, and no answer is read: no other client waits, and memory does not grow. */
static void test_slow_reader(void **state)
{
    struct monitor m;
    size_t n_sent = 0;

    (void)state;
    monitor_start(&m);
    AUTO_FD int slow = dial(&m.at);
    expect(slow, "\"QMP\"");
    put(slow, NEGOTIATE);
    struct qmp_client *other = open_client(&m.at);
    while (send(slow, "{\"execute\":\"long\"}\n", 19, MSG_DONTWAIT | MSG_NOSIGNAL) == 19)
        n_sent++;
    for (unsigned i = 0; i < 10; i++)
        counted(other);
    /* Answers for it are still queued; they arrive when it reads. */
    for (size_t left =
             strlen("{\"return\": {}}\r\n") + n_sent * (65536 + strlen("{\"return\": \"\"}\r\n"));
         left > 0;) {
        static char bytes[65536];
        ssize_t n = readable(slow) ? recv(slow, bytes, MIN(left, sizeof(bytes)), 0) : -1;

        CHECK(n > 0, "%zu bytes of %zu answers did not come", left, n_sent);
        left -= (size_t)n;
    }
    qmp_client_close(other);
    monitor_end(&m);
}

/* Events do not wait for a client that never reads: it is dropped, and no other one is. */
static void test_never_reads(void **state)
{
    char text[65537];
    struct monitor m;

    (void)state;
    memset(text, 'e', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    monitor_start(&m);
    AUTO_FD int silent = dial(&m.at);
    put(silent, NEGOTIATE);
    expect(silent, "{\"return\": {}}\r\n");
    struct qmp_client *other = open_client(&m.at);
    for (unsigned i = 0; i < 128; i++) {
        qmp_server_event(m.server, "E", json_pack("{s:s}", "text", text));
        counted(other); /* which reads what came in the meantime */
    }
    struct buf heard = hear(silent, NULL); /* the connection ends */
    CHECK(heard.len < 128 * sizeof(text), "%zu bytes were kept for it", heard.len);
    buf_done(&heard);
    counted(other);
    qmp_client_close(other);
    monitor_end(&m);
}

/* Commands sent before the client's end are answered: `echo … | nc` does that. */
static void test_half_closed(void **state)
{
    struct monitor m;

    (void)state;
    monitor_start(&m);
    AUTO_FD int fd = dial(&m.tcp);
    put(fd, NEGOTIATE "{\"execute\": \"count\", \"id\": 5}");
    shutdown(fd, SHUT_WR);
    struct buf heard = hear(fd, NULL);
    CHECK(strstr((char *)heard.data, "{\"return\": 0, \"id\": 5}\r\n"), "%s", (char *)heard.data);
    buf_done(&heard);
    AUTO_FD int deep = dial(&m.tcp);
    char nest[201] = {0};
    put(deep, memset(nest, '[', sizeof(nest) - 1)); /* refused as soon as it is too deep */
    heard = hear(deep, NULL);
    CHECK(strstr((char *)heard.data, "nested too deep"), "%s", (char *)heard.data);
    buf_done(&heard);
    monitor_end(&m);
}

/* Clients in every state, and then the monitor ends. */
static void test_end(void **state)
{
    struct monitor m;
    struct error err;

    (void)state;
    monitor_start(&m);
    AUTO_FD int fresh = dial(&m.at), half = dial(&m.at), full = dial(&m.at);
    put(half, "{\"execute\":");
    put(full, NEGOTIATE "{\"execute\":\"long\"}{\"execute\":\"long\"}{\"execute\":\"long\"}"
                        "{\"execute\":\"long\"}{\"execute\":\"long\"}{\"execute\":\"long\"}");
    expect(full, "xxx");
    qmp_server_event(m.server, "SHUTDOWN", NULL);
    qmp_server_stop(m.server);
    qmp_server_event(m.server, "LATE", NULL);
    struct buf heard = hear(half, NULL);
    buf_done(&heard);
    heard = hear(fresh, NULL);
    CHECK(strstr((char *)heard.data, "\"QMP\""), "no greeting: %s", (char *)heard.data);
    buf_done(&heard);
    check_refused("another one at the same path",
                  qmp_server_listen(m.server, &m.at, &dialling, &err), &err, ERR_SYSTEM,
                  "monitor: listen on");
    struct address fd_address;
    parse("fd:0", &fd_address);
    check_refused("a descriptor", qmp_server_listen(m.server, &fd_address, &dialling, &err), &err,
                  ERR_USAGE, "expected unix:PATH");
    monitor_end(&m);
    qmp_server_free(NULL);
}

/* The process may open no more descriptors: clients are served, and one that waits is accepted when
 * there is a descriptor again. */
static void test_no_descriptors(void **state)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct rlimit before, none;
    struct monitor m;

    (void)state;
    monitor_start(&m);
    struct qmp_client *other = open_client(&m.at);
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int first_free = dup(fd);
    close(first_free);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){(rlim_t)first_free, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    memcpy(sa.sun_path, m.at.path, sizeof(sa.sun_path));
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(counted(other), i);
    assert_int_equal(recv(fd, &(char){0}, 1, MSG_DONTWAIT), -1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect(fd, "\"QMP\"");
    qmp_client_close(other);
    monitor_end(&m);
}

static void *tell(void *arg)
{
    struct monitor *m = arg;

    for (unsigned i = 0; i < 2000; i++)
        qmp_server_event(m->server, "TICK", NULL);
    return NULL;
}

/* Events from other threads while clients come and go. */
static void test_coming_and_going(void **state)
{
    struct monitor m;
    pthread_t threads[2];

    (void)state;
    monitor_start(&m);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, tell, &m), 0);
    for (unsigned i = 0; i < 50; i++) {
        struct qmp_client *c = open_client(i % 2 ? &m.at : &m.tcp);

        assert_int_equal(counted(c), i);
        qmp_client_close(c);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    monitor_end(&m);
}

/* After a flush all commands that have run are answered: no client still waits for an answer. */
static void test_flush(void **state)
{
    struct monitor m;
    char bytes[16];

    (void)state;
    monitor_start(&m);
    qmp_server_flush(NULL);
    qmp_server_flush(m.server); /* no client is connected */
    AUTO_FD int fd = dial(&m.at);
    put(fd, NEGOTIATE);
    expect(fd, "\"return\": {}");
    for (unsigned i = 0; i < 100; i++) {
        put(fd, "{\"execute\": \"count-long\"}\n");
        while (m.n == i)
            sched_yield();
        qmp_server_flush(m.server);
        CHECK(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0, "%u: no answer", i);
        expect(fd, "}\r\n");
    }
    monitor_end(&m);
}

/* Then no client is heard at once, but every client is heard. */
static void test_no_poll(void **state)
{
    struct monitor m;

    (void)state;
    own_thread = pthread_self();
    monitor_start(&m);
    struct qmp_client *before = open_client(&m.at);
    poll_fails = true;
    struct qmp_client *after = open_client(&m.tcp);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(counted(i % 2 ? before : after), i);
    qmp_client_close(before);
    qmp_client_close(after);
    monitor_end(&m);
    poll_fails = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_clients),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_never_reads),
        cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_coming_and_going),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_flush),
        cmocka_unit_test(test_no_poll),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
