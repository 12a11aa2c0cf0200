/* What the destination says at its end, and what the source reports. */
#include "migration/return_reader.h"

#include <pthread.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/fd.h"
#include "stream/return_path.h"
#include "tests/support/test.h"
#include "transport/engine.h"

static const struct verdict_case {
    const char *label;
    uint32_t verdict;
    const char *want;
} verdict_cases[] = {
    {"an errno", 28, "has failed: No space left on device (SHUT 28); see"},
    {"a limit there is none here", 24, "has failed: Too many open files (SHUT 24); see"},
    {"an errno, negated", (uint32_t)-5, "has failed: Input/output error (SHUT 4294967291); see"},
    {"QEMU's, of any error", 1, "has failed: it does not say why (SHUT 1); see"},
    {"not negatable", 0x80000000U, "error number -2147483648, which has no name (SHUT 2147483648)"},
    {"large", 0x7fffffffU, "error number 2147483647, which has no name (SHUT 2147483647)"},
    {"the kernel's own", 524, "error number 524, which has no name (SHUT 524)"},
};

/* The source's end of a connection with `peer`, to which the test writes. */
static struct {
    struct return_reader return_reader;
    struct channel_group group;
    struct channel *main;
    int peer;
} t;

static void listen_to(const char *label, const struct return_reader_limits *limits)
{
    const struct engine_config config = {0};
    const struct engine *engine;
    struct error err;
    int pair[2];

    memset(&t.return_reader, 0, sizeof(t.return_reader));
    OK(channel_group_init(&t.group, 0, &err), err, label);
    OK(engine_find("socket", &engine, &err), err, label);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    OK(engine->open(pair[0], &config, &t.main, &err), err, label);
    OK(channel_group_add(&t.group, t.main, &err), err, label);
    OK(return_reader_start(&t.return_reader, &t.group, t.main, limits, &err), err, label);
    t.peer = pair[1];
}

static void say(const void *bytes, size_t len)
{
    assert_int_equal(send(t.peer, bytes, len, MSG_NOSIGNAL), len);
}

static void end(void)
{
    channel_interrupt(t.main);
    return_reader_end(&t.return_reader);
    close(t.peer);
    channel_group_drop(&t.group, t.main);
    channel_group_done(&t.group);
}

static void verdict_in_words(const struct verdict_case *c)
{
    uint8_t shut[8] = {0, 1, 0, 4};
    struct error err;

    listen_to(c->label, &(struct return_reader_limits){0});
    for (size_t i = 0; i < 4; i++)
        shut[4 + i] = (uint8_t)(c->verdict >> (24 - 8 * i));
    say(shut, sizeof(shut));
    return_reader_end(&t.return_reader);
    CHECK(channel_group_check(&t.group, &err) < 0, "%s: no failure", c->label);
    CHECK(strstr(err.text, c->want), "%s: %s", c->label, err.text);
    CHECK(!strstr(err.text, "Success"), "%s: %s", c->label, err.text);
    end();
}

static void verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(verdict_cases); i++)
        verdict_in_words(&verdict_cases[i]);
}

/* --- hostile, hung and stopped destinations -------------------------------------------------- */

#define OFFERED    "\0\2\0\4\x52\x4a\0\1"
#define ACCEPTED   "\0\2\0\4\x52\x4a\x80\1"
#define PONG_2     "\0\2\0\4\x52\x4a\0\2"
#define MEASURES   "\0\2\0\4\x52\x4a\x80\2"
#define READY      "\0\x40\0\0"
#define ALIVE      "\0\x41\0\0"
#define SHUT_0     "\0\1\0\4\0\0\0\0"
#define SHUT_5     "\0\1\0\4\0\0\0\5"
#define SHUT_125   "\0\1\0\4\0\0\0\x7d"
#define SAYS(text) .says = text, .len = sizeof(text) - 1

/* What the source waits for after its PINGs. */
enum wait { PONGS, THE_READY, THE_VERDICT };

static const struct wait_case {
    const char *label;
    unsigned pings;
    const char *says; /* written at once, */
    size_t len;
    bool babbles; /* then "alive" words without end */
    enum wait wait;
    struct return_reader_limits limits;
    const char *refused; /* NULL: what it waits for arrives */
    bool confirms, measures;
    enum err_kind kind; /* of the refusal; 0: ERR_PEER */
} wait_cases[] = {
    {"QEMU's first PONG", 1, SAYS(OFFERED)},
    {"ours", 1, SAYS(ACCEPTED), .confirms = true},
    {"two in turn", 2, SAYS(ACCEPTED PONG_2), .confirms = true},
    {"ready", 1, SAYS(ACCEPTED ALIVE READY), .wait = THE_READY, .confirms = true},
    {"the verdict", 1, SAYS(ACCEPTED READY ALIVE SHUT_0), .wait = THE_VERDICT, .confirms = true},
    {"another number", 1, SAYS(PONG_2), .refused = "PONG 1380581378, expected 1380581377"},
    {"out of turn", 2, SAYS(PONG_2 OFFERED), .refused = "PONG 1380581378, expected 1380581377"},
    {"accepted twice", 2, SAYS(ACCEPTED ACCEPTED),
     .refused = "PONG 1380614145, expected 1380581378"},
    {"it only measures", 2, SAYS(ACCEPTED MEASURES), .confirms = true, .measures = true},
    {"measures, unasked", 1, SAYS(MEASURES), .refused = "PONG 1380614146, expected 1380581377"},
    {"measures, too late", 3, SAYS(ACCEPTED PONG_2 MEASURES),
     .refused = "PONG 1380614146, expected 3"},
    {"it has measured", 2, SAYS(ACCEPTED MEASURES SHUT_125), .wait = THE_VERDICT,
     .kind = ERR_CANCELLED, .refused = "has only measured"},
    {"it has failed to measure", 2, SAYS(ACCEPTED MEASURES SHUT_5), .wait = THE_VERDICT,
     .refused = "Input/output error"},
    {"it is cancelled, and does not measure", 2, SAYS(ACCEPTED PONG_2 SHUT_125),
     .wait = THE_VERDICT, .refused = "Operation canceled"},
    {"one too many", 1, SAYS(OFFERED OFFERED), .wait = THE_VERDICT,
     .refused = "PONG 1380581377 without a PING"},
    {"ready, unasked", 1, SAYS(OFFERED READY), .wait = THE_VERDICT,
     .refused = "SWITCHOVER_READY: nothing asked for it"},
    {"alive, unasked", 1, SAYS(OFFERED ALIVE), .wait = THE_VERDICT,
     .refused = "SWITCHOVER_ALIVE: nothing asked for it"},
    {"the verdict before its time", 1, SAYS(ACCEPTED SHUT_0), .wait = THE_READY,
     .refused = "SHUT 0 before the stream's end"},
    {"no PONG", 1, .limits = {.answer_ms = 30},
     .refused = "has not answered a PING for 0.0 s (--answer-timeout)"},
    {"no verdict", 1, SAYS(OFFERED), .wait = THE_VERDICT, .limits = {.answer_ms = 30},
     .refused = "has given no verdict for 0.0 s (--answer-timeout)"},
    {"silent is not known to be stopped", 1, SAYS(OFFERED), .wait = THE_VERDICT,
     .limits = {.answer_ms = 60, .silence_ms = 30}, .refused = "(--answer-timeout)"},
    {"stopped", 1, SAYS(ACCEPTED), .wait = THE_READY, .limits = {.silence_ms = 30},
     .refused =
         "has not reported that it is ready, and has sent nothing for 0.0 s (--stall-timeout)",
     .confirms = true},
    {"alive, and never ready", 1, SAYS(ACCEPTED), .babbles = true, .wait = THE_READY,
     .limits = {.answer_ms = 100},
     .refused = "has not reported that it is ready for 0.1 s (--answer-timeout)", .confirms = true},
    {"alive, and no verdict", 1, SAYS(ACCEPTED READY), .babbles = true, .wait = THE_VERDICT,
     .limits = {.answer_ms = 100}, .refused = "has given no verdict for 0.1 s", .confirms = true},
};

/* Until the source closes. */
static void *babble(void *arg)
{
    (void)arg;
    while (send(t.peer, ALIVE, 4, MSG_NOSIGNAL) == 4)
        ;
    return NULL;
}

static int await(enum wait wait, struct error *err)
{
    const bool hurry = false;

    if (wait == PONGS)
        return return_reader_await_pong(&t.return_reader, err);
    if (wait == THE_READY)
        return return_reader_await_ready(&t.return_reader, err);
    return return_reader_await_verdict(&t.return_reader, &hurry, err);
}

static void wait_for(const struct wait_case *c)
{
    pthread_t babbler;
    struct error err;

    listen_to(c->label, &c->limits);
    for (unsigned i = 0; i < c->pings; i++)
        return_reader_ping(&t.return_reader);
    say(c->says, c->len);
    if (c->babbles)
        assert_int_equal(pthread_create(&babbler, NULL, babble, NULL), 0);
    int rc = await(c->wait, &err);
    if (c->refused)
        check_refused(c->label, rc, &err, c->kind ? c->kind : ERR_PEER, c->refused);
    else
        OK(rc, err, c->label);
    CHECK(return_reader_confirm(&t.return_reader) == c->confirms || c->refused, "%s: confirms",
          c->label);
    CHECK(return_reader_measures(&t.return_reader) == c->measures || c->refused, "%s: measures",
          c->label);
    channel_interrupt(t.main);
    if (c->babbles)
        pthread_join(babbler, NULL);
    end();
}

static void waits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wait_cases); i++)
        wait_for(&wait_cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(verdicts), cmocka_unit_test(waits)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
