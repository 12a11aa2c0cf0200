#include "control/qmp_client.h"

#include <pthread.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "tests/support/test.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"
#define READY    GREETING "{\"return\": {}, \"id\": 1}\r\n"
#define EVENT    "{\"event\": \"STOP\", \"timestamp\": {\"seconds\": 1}}\n"

enum ending {
    SILENT,  /* listens, but says nothing more */
    CLOSED,  /* closes its end */
    ENDLESS, /* repeats its last part without end */
};

/*
 * A monitor that says its part whatever it is asked. It answers to the ids that the client is known
 * to choose: 1 and up.
 */
struct monitor {
    /* set before the thread starts */
    int fd;
    const char *says, *over_and_over;
    enum ending ending;
    /* the thread's; the test's after the join */
    struct buf heard;
    pthread_t thread;
};

static bool say(int fd, const char *text)
{
    for (size_t len = strlen(text); len;) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

        if (n < 0)
            return false; /* the client has closed the connection */
        text += n;
        len -= (size_t)n;
    }
    return true;
}

static void *monitor_main(void *arg)
{
    struct monitor *m = arg;
    struct error err;
    char bytes[256];
    ssize_t n;

    say(m->fd, m->says);
    while (m->ending == ENDLESS && say(m->fd, m->over_and_over))
        ;
    if (m->ending == CLOSED)
        shutdown(m->fd, SHUT_WR);
    while ((n = recv(m->fd, bytes, sizeof(bytes), 0)) > 0)
        OK(buf_append(&m->heard, bytes, (size_t)n, &err), err, "heard");
    return NULL;
}

/* Starts it. `ret` is the address for the client; the client closes ret->fd. */
static void monitor_start(struct monitor *m, struct address *ret)
{
    struct error err;
    char text[32];
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    m->fd = fds[0];
    snprintf(text, sizeof(text), "fd:%d", fds[1]);
    OK(address_parse(text, ret, &err), err, text);
    assert_int_equal(pthread_create(&m->thread, NULL, monitor_main, m), 0);
}

/* Call it when the client has closed: m->heard has what the client said, terminated. */
static void monitor_end(struct monitor *m, struct address *at)
{
    struct error err;

    fd_close(&at->fd);
    pthread_join(m->thread, NULL);
    fd_close(&m->fd);
    OK(buf_append(&m->heard, "", 1, &err), err, "heard");
}

static const struct cancel never = {.fd = -1};

/* One connection, one command. */
static int ask(const struct address *at, uint64_t deadline, const struct cancel *cancel,
               json_t **ret, struct error *err)
{
    struct qmp_client *c;

    if (qmp_client_open(at, deadline, cancel, &c, err) < 0)
        return -1;
    int rc = qmp_client_execute(c, "query-status", NULL, ret, err);
    qmp_client_close(c);
    return rc;
}

static uint64_t soon(void)
{
    return deadline_in_ms(HANG_MS);
}

/* --- answers --------------------------------------------------------------------------------- */

static const struct answer_case {
    const char *label, *says, *want;
} answer_cases[] = {
    {"at once", READY "{\"return\": {\"running\": true}, \"id\": 2}\n", "{\"running\":true}"},
    {"a list", READY "{\"id\": 2, \"return\": [1, 2]}", "[1,2]"},
    {"a string", READY "{\"id\": 2, \"return\": \"x\\n\"}", "\"x\\n\""},
    {"over many lines",
     "{\n  \"QMP\": {\n  }\n}\n{\n  \"return\": {\n  },\n  \"id\": 1\n}\n\n{\n  \"id\":\n  2, "
     "\"return\":\n  7\n\n}",
     "7"},
    {"without white space", "{\"QMP\":{}}{\"return\":{},\"id\":1}{\"return\":3,\"id\":2}", "3"},
    {"behind events",
     GREETING EVENT "{\"return\": {}, \"id\": 1}" EVENT EVENT "{\"return\": 4, \"id\": 2}", "4"},
    {"behind others' answers",
     READY "{\"return\": 1, \"id\": 1}{\"return\": 2}{\"return\": 3, \"id\": \"2\"}"
           "{\"error\": {}, \"id\": 7}{\"return\": 5, \"id\": 2}",
     "5"},
};

static void test_answers(void **state)
{
    (void)state;
    for (const struct answer_case *c = answer_cases; c < answer_cases + ARRAY_LEN(answer_cases);
         c++) {
        struct monitor m = {.says = c->says};
        struct address at;
        struct error err;
        json_t *answer;

        monitor_start(&m, &at);
        OK(ask(&at, soon(), &never, &answer, &err), err, c->label);
        monitor_end(&m, &at);
        char *text = json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY);
        CHECK(strcmp(text, c->want) == 0, "%s: answer %s, expected %s", c->label, text, c->want);
        free(text);
        json_decref(answer);
        buf_done(&m.heard);
    }
}

/* What the monitor receives; and that a refusal does not harm the connection. */
static void test_session(void **state)
{
    struct monitor m = {
        .says = READY "{\"error\": {\"class\": \"GenericError\", \"desc\": \"not\\nnow\"}, "
                      "\"id\": 2}\n{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"d\"}}\n"
                      "{\"return\": {\"a\": 1}, \"id\": 4}\n"};
    struct address at;
    struct qmp_client *c;
    struct error err;
    json_t *arguments = json_pack("{s:i, s:{s:s}}", "n", 1, "o", "k", "v"), *answer = NULL;

    (void)state;
    monitor_start(&m, &at);
    OK(qmp_client_open(&at, soon(), &never, &c, &err), err, "open");
    check_refused("an error", qmp_client_execute(c, "stop", arguments, &answer, &err), &err,
                  ERR_PEER, "stop: GenericError: not?now");
    assert_null(answer);
    assert_string_equal(qmp_client_refusal(c), "GenericError");
    check_refused("an error without id", qmp_client_execute(c, "b", NULL, NULL, &err), &err,
                  ERR_PEER, "b: CommandNotFound: d");
    qmp_client_set_deadline(c, soon());
    OK(qmp_client_execute(c, "cont", NULL, NULL, &err), err, "after refusals");
    assert_null(qmp_client_refusal(c));
    qmp_client_close(c);
    monitor_end(&m, &at);
    assert_string_equal((char *)m.heard.data,
                        "{\"execute\":\"qmp_capabilities\",\"id\":1}\n"
                        "{\"execute\":\"stop\",\"arguments\":{\"n\":1,\"o\":{\"k\":\"v\"}},"
                        "\"id\":2}\n"
                        "{\"execute\":\"b\",\"id\":3}\n"
                        "{\"execute\":\"cont\",\"id\":4}\n");
    buf_done(&m.heard);
    json_decref(arguments);
}

enum { LARGE = 1 << 20 };

static void test_large_answer(void **state)
{
    char *said = malloc(LARGE + 256);
    struct address at;
    struct error err;
    json_t *answer;

    (void)state;
    int len = sprintf(said, "%s{\"id\": 2, \"return\": \"%0*d\"}", READY, LARGE, 7);
    assert_in_range(len, LARGE, LARGE + 255);
    struct monitor m = {.says = said};
    monitor_start(&m, &at);
    OK(ask(&at, soon(), &never, &answer, &err), err, "answer");
    monitor_end(&m, &at);
    assert_int_equal(json_string_length(answer), LARGE);
    json_decref(answer);
    buf_done(&m.heard);
    free(said);
}

static void test_large_command(void **state)
{
    struct monitor m = {.says = READY "{\"id\": 2, \"return\": {}}"};
    char *text = malloc(LARGE + 1);
    struct address at;
    struct qmp_client *c;
    struct error err;

    (void)state;
    sprintf(text, "%0*d", LARGE, 7);
    json_t *arguments = json_pack("{s:s}", "text", text);
    monitor_start(&m, &at);
    OK(qmp_client_open(&at, soon(), &never, &c, &err), err, "open");
    OK(qmp_client_execute(c, "x", arguments, NULL, &err), err, "command");
    qmp_client_close(c);
    monitor_end(&m, &at);
    assert_non_null(strstr((char *)m.heard.data, text));
    buf_done(&m.heard);
    json_decref(arguments);
    free(text);
}

/* --- hostile monitors ------------------------------------------------------------------------ */

static const struct hostile_case {
    const char *label, *says;
    enum ending ending;
    enum err_kind kind;
    const char *part;
    const char *over_and_over;
} hostile_cases[] = {
    {"closes at once", "", CLOSED, ERR_PEER, "no greeting: the monitor closed the connection", 0},
    {"silent from the start", "", SILENT, ERR_SYSTEM, "no greeting: gave up waiting", 0},
    {"white space", "", ENDLESS, ERR_PEER, "more than 4194304 bytes", "                \r\n"},
    {"answers without greeting", "{\"return\": {}, \"id\": 1}", SILENT, ERR_PEER,
     "no greeting: what the monitor sent first", 0},
    {"a greeting of another kind", "{\"QMP\": 1}", SILENT, ERR_PEER, "no greeting: ", 0},
    {"a list", "[1]", SILENT, ERR_PEER, "no greeting: what the monitor sent is not QMP", 0},
    {"a number", "12 ", SILENT, ERR_PEER, "is not QMP", 0},
    {"a web server", "HTTP/1.1 400 Bad Request\r\n\r\n", CLOSED, ERR_PEER,
     "is not QMP: the peer speaks HTTP", 0},
    {"ssh", "SSH-2.0-OpenSSH_9.2p1\r\n", SILENT, ERR_PEER, "is not QMP: the peer speaks SSH", 0},
    {"a mail server", "220 mail.example\r\n", SILENT, ERR_PEER,
     "is not QMP: this is text: '220 mail.example", 0},
    {"bytes that are no text", "\x01\xff\xfe\x80 \x1b[2J", CLOSED, ERR_PEER, "is not QMP", 0},
    {"bad UTF-8 in a string", "{\"QMP\": \"\xff\xfe\"}", SILENT, ERR_PEER, "is not QMP", 0},
    {"half a greeting", "{\"QMP\": {\"ver", CLOSED, ERR_PEER, "in the middle of a message", 0},
    {"half a greeting, silent", "{\"QMP\": {\"ver", SILENT, ERR_SYSTEM, "gave up waiting", 0},
    {"silent after the greeting", GREETING, SILENT, ERR_SYSTEM, "qmp_capabilities: gave up waiting",
     0},
    {"closes after the greeting", GREETING, CLOSED, ERR_PEER, "qmp_capabilities: the monitor", 0},
    {"refuses negotiation",
     GREETING "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}", SILENT,
     ERR_PEER, "qmp_capabilities: GenericError: no", 0},
    {"silent", READY, SILENT, ERR_SYSTEM, "query-status: gave up waiting", 0},
    {"closes", READY, CLOSED, ERR_PEER, "query-status: the monitor closed the connection", 0},
    {"closes in an answer", READY "{\"return\": {", CLOSED, ERR_PEER, "in the middle", 0},
    {"another id", READY "{\"return\": {}, \"id\": 3}", CLOSED, ERR_PEER,
     "query-status: 1 answers, none with this command's id: ", 0},
    {"other ids, silent", READY "{\"return\": {}, \"id\": 1}{\"return\": {}}", SILENT, ERR_SYSTEM,
     "2 answers, none with", 0},
    {"an id that is no number", READY "{\"return\": {}, \"id\": 2.0}", CLOSED, ERR_PEER,
     "none with", 0},
    {"neither answer nor event", READY "{\"id\": 2}", SILENT, ERR_PEER, "neither an answer", 0},
    {"an empty object", READY "{}", SILENT, ERR_PEER, "neither an answer", 0},
    {"an error that says nothing", READY "{\"error\": {}, \"id\": 2}", SILENT, ERR_PEER,
     "without class or description", 0},
    {"an error that is no object", READY "{\"error\": 5, \"id\": 2}", SILENT, ERR_PEER,
     "without class or description", 0},
    {"an error of other types", READY "{\"error\": {\"class\": [], \"desc\": 1}, \"id\": 2}",
     SILENT, ERR_PEER, "without class or description", 0},
    {"a number beyond 64 bits", READY "{\"return\": 99999999999999999999, \"id\": 2}", SILENT,
     ERR_PEER, "is not QMP", 0},
    {"events without end", READY, ENDLESS, ERR_SYSTEM, "query-status: gave up waiting", EVENT},
    {"answers without end", READY, ENDLESS, ERR_SYSTEM, "gave up waiting",
     "{\"return\": {}, \"id\": 9}"},
    {"a string without end", READY "{\"return\": \"", ENDLESS, ERR_PEER, "more than 4194304 bytes",
     "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"},
    {"a list without end", READY "{\"return\": [0", ENDLESS, ERR_PEER, "more than 4194304 bytes",
     ",0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0"},
    {"depth without end", READY, ENDLESS, ERR_PEER, "maximum parsing depth",
     "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["},
};

static void hostile(const struct hostile_case *c, uint64_t deadline, int *ret_rc,
                    struct error *ret_err)
{
    struct monitor m = {.says = c->says, .ending = c->ending, .over_and_over = c->over_and_over};
    struct address at;

    monitor_start(&m, &at);
    *ret_rc = ask(&at, deadline, &never, NULL, ret_err);
    monitor_end(&m, &at);
    buf_done(&m.heard);
}

static void test_hostile(void **state)
{
    (void)state;
    for (const struct hostile_case *c = hostile_cases; c < hostile_cases + ARRAY_LEN(hostile_cases);
         c++) {
        bool timed = c->kind == ERR_SYSTEM;
        struct error err;
        int rc;

        if (!timed)
            hostile(c, soon(), &rc, &err);
        /* These cases end by a time limit, which on a busy machine must not come too
         * early: it grows. */
        for (uint64_t ms = 50; timed && ms < 20000; ms *= 2) {
            hostile(c, deadline_in_ms(ms), &rc, &err);
            if (rc < 0 && strstr(err.text, c->part))
                break;
        }
        check_refused(c->label, rc, &err, c->kind, c->part);
        CHECK(!timed || err.sys == ETIMEDOUT, "%s: errno %d", c->label, err.sys);
        CHECK(strncmp(err.text, "fd:", 3) == 0, "%s: no address in: %s", c->label, err.text);
        for (const char *p = err.text; *p; p++)
            CHECK(*p >= 0x20 || *p < 0, "%s: not printable: %s", c->label, err.text);
    }
}

/* After a failure nothing more is sent. */
static void test_broken(void **state)
{
    struct monitor m = {.says = READY "[]" EVENT "{\"return\": {}, \"id\": 3}"};
    struct address at;
    struct qmp_client *c;
    struct error err;

    (void)state;
    monitor_start(&m, &at);
    OK(qmp_client_open(&at, soon(), &never, &c, &err), err, "open");
    check_refused("garbage", qmp_client_execute(c, "a", NULL, NULL, &err), &err, ERR_PEER,
                  "a: what the monitor sent is not QMP");
    assert_null(qmp_client_refusal(c));
    check_refused("later", qmp_client_execute(c, "b", NULL, NULL, &err), &err, ERR_PEER,
                  "b: the connection has failed before");
    qmp_client_close(c);
    qmp_client_close(NULL);
    monitor_end(&m, &at);
    assert_null(strstr((char *)m.heard.data, "\"b\""));
    buf_done(&m.heard);
}

static void test_cancel(void **state)
{
    struct monitor m = {.says = READY};
    struct address at;
    struct cancel cancel;
    struct qmp_client *c;
    struct error err;

    (void)state;
    OK(cancel_init(&cancel, &err), err, "cancel");
    monitor_start(&m, &at);
    OK(qmp_client_open(&at, DEADLINE_NEVER, &cancel, &c, &err), err, "open");
    cancel_request(&cancel);
    check_refused("cancelled", qmp_client_execute(c, "a", NULL, NULL, &err), &err, ERR_CANCELLED,
                  "cancelled");
    qmp_client_close(c);
    monitor_end(&m, &at);
    cancel_done(&cancel);
    buf_done(&m.heard);
}

static void test_nobody(void **state)
{
    struct address at;
    struct qmp_client *c;
    struct error err;

    (void)state;
    OK(address_parse("unix:/nonexistent/monitor", &at, &err), err, "address");
    check_refused("nobody", qmp_client_open(&at, soon(), &never, &c, &err), &err, ERR_SYSTEM,
                  "connect to unix:/nonexistent/monitor: No such file");
    check_refused("too late", qmp_client_open(&at, clock_ns(), &never, &c, &err), &err, ERR_SYSTEM,
                  "connect to unix:/nonexistent/monitor: Connection timed out");
}

/* --- events ---------------------------------------------------------------------------------- */

#define MIGRATION(status) "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"" status "\"}}\r\n"

/* What has arrived: "NAME status|…". */
static void note_event(void *arg, const char *name, const json_t *message)
{
    const char *status =
        json_string_value(json_object_get(json_object_get(message, "data"), "status"));
    char *heard = arg;

    strcat(strcat(heard, name), " ");
    strcat(strcat(heard, status ? status : "-"), "|");
}

static void test_events(void **state)
{
    struct monitor m = {.says = READY EVENT MIGRATION("setup") "{\"return\": {}, \"id\": 2}\r\n"
                                                               "{\"event\": 1}" MIGRATION("active")
                                                                   EVENT};
    struct address at;
    struct qmp_client *c;
    struct error err;
    char heard[256] = "";

    (void)state;
    monitor_start(&m, &at);
    OK(qmp_client_open(&at, soon(), &never, &c, &err), err, "open");
    qmp_client_set_events(c, note_event, heard);
    OK(qmp_client_execute(c, "a", NULL, NULL, &err), err, "a");
    assert_string_equal(heard, "STOP -|MIGRATION setup|");
    OK(qmp_client_await_event(c, &err), err, "an event without a name");
    OK(qmp_client_await_event(c, &err), err, "an event");
    OK(qmp_client_await_event(c, &err), err, "an event");
    assert_string_equal(heard, "STOP -|MIGRATION setup|MIGRATION active|STOP -|");
    qmp_client_set_deadline(c, deadline_in_ms(20));
    check_refused("no event", qmp_client_await_event(c, &err), &err, ERR_SYSTEM,
                  "waiting for an event: gave up waiting");
    qmp_client_set_deadline(c, soon());
    assert_int_equal(say(m.fd, "{\"return\": {}, \"id\": 3}"), true);
    OK(qmp_client_execute(c, "b", NULL, NULL, &err), err, "after a wait for nothing");
    assert_int_equal(say(m.fd, "{\"event\":"), true);
    qmp_client_set_deadline(c, deadline_in_ms(20));
    check_refused("half an event", qmp_client_await_event(c, &err), &err, ERR_SYSTEM, "gave up");
    check_refused("later", qmp_client_await_event(c, &err), &err, ERR_PEER, "has failed before");
    qmp_client_close(c);
    monitor_end(&m, &at);
    buf_done(&m.heard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),      cmocka_unit_test(test_session),
        cmocka_unit_test(test_large_answer), cmocka_unit_test(test_large_command),
        cmocka_unit_test(test_hostile),      cmocka_unit_test(test_broken),
        cmocka_unit_test(test_cancel),       cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
