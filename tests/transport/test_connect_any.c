/* Several addresses of one name: they share one time limit, and none delays the others. */
#include "transport/connect_any.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "tests/support/test.h"

#define N 4 /* addresses of the name */

static const struct cancel never = {.fd = -1};

/* One of the addresses, on this host. */
enum kind {
    NONE,
    TAKES,   /* listens */
    REFUSES, /* nothing listens there */
    SILENT,  /* listens with a full queue: a SYN gets no answer at all */
};

struct place {
    int fd, fillers[4];
    struct sockaddr_in sa;
    struct addrinfo ai;
};

static void place_init(struct place *p, enum kind kind)
{
    socklen_t len = sizeof(p->sa);

    *p = (struct place){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    p->sa = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(bind(p->fd, (struct sockaddr *)&p->sa, len) == 0 &&
              getsockname(p->fd, (struct sockaddr *)&p->sa, &len) == 0 &&
              (kind == REFUSES || listen(p->fd, kind == SILENT ? 0 : 8) == 0),
          "a socket");
    p->ai = (struct addrinfo){.ai_family = AF_INET,
                              .ai_socktype = SOCK_STREAM,
                              .ai_addr = (struct sockaddr *)&p->sa,
                              .ai_addrlen = sizeof(p->sa)};
    for (size_t i = 0; i < ARRAY_LEN(p->fillers); i++) {
        struct pollfd filler = {.fd = -1, .events = POLLOUT};

        if (kind == SILENT) {
            filler.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            connect(filler.fd, (struct sockaddr *)&p->sa, sizeof(p->sa));
            poll(&filler, 1, i == 0 ? 1000 : 10);
        }
        p->fillers[i] = filler.fd;
    }
}

static void place_done(struct place *p)
{
    for (size_t i = 0; i < ARRAY_LEN(p->fillers); i++)
        fd_close(&p->fillers[i]);
    fd_close(&p->fd);
}

static const struct any_case {
    const char *label;
    enum kind kinds[N];
    uint64_t limit_ms; /* 0: none; on a busy machine more time may be needed */
    int winner;        /* the index of the one that connects, or -1 */
    int sys;           /* else the reason */
    const char *says;
} any_cases[] = {
    {"one", {TAKES}, 0, 0, 0, NULL},
    {"the second", {REFUSES, TAKES}, 0, 1, 0, NULL},
    {"behind a silent one, without a limit", {SILENT, TAKES}, 0, 1, 0, NULL},
    {"behind a silent one, within the limit", {SILENT, TAKES}, 300, 1, 0, NULL},
    {"behind three silent ones", {SILENT, SILENT, SILENT, TAKES}, 600, 3, 0, NULL},
    {"between those that refuse", {REFUSES, SILENT, REFUSES, TAKES}, 400, 3, 0, NULL},
    {"all refuse", {REFUSES, REFUSES}, 0, -1, ECONNREFUSED, "connect to 127.0.0.1:"},
    {"one is silent", {SILENT}, 100, -1, ETIMEDOUT, "connect to 127.0.0.1:"},
    {"all are silent", {SILENT, SILENT}, 100, -1, ETIMEDOUT, "connect to tcp:name:1: gave up"},
    {"one of them is", {SILENT, REFUSES}, 100, -1, ETIMEDOUT, "connect to tcp:name:1: gave up"},
};

static void check_won(const struct any_case *c, const struct place *places, int fd)
{
    struct sockaddr_in sa;
    socklen_t len = sizeof(sa);

    CHECK(getpeername(fd, (struct sockaddr *)&sa, &len) == 0, "%s: not connected", c->label);
    CHECK(sa.sin_port == places[c->winner].sa.sin_port, "%s: another one took it", c->label);
    CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK), "%s: not blocking", c->label);
}

#define ENOUGH_MS 60000

/* A time limit that was too short for a busy machine proves nothing: the next one is
 * four times as long. */
static int connect_within(const struct any_case *c, const struct addrinfo *first, int *ret_fd,
                          struct error *err)
{
    uint64_t limit_ms = c->limit_ms;
    int rc;

    do {
        rc = connect_any(first, "tcp:name:1", NULL, deadline_in_ms(limit_ms), &never, ret_fd, err);
        limit_ms *= 4;
    } while (rc < 0 && c->winner >= 0 && err->sys == ETIMEDOUT && limit_ms < ENOUGH_MS);
    return rc;
}

static void connects(const struct any_case *c)
{
    struct place places[N];
    struct error err = {0};
    AUTO_FD int fd = -1;
    size_t n = 0;

    for (; n < N && c->kinds[n] != NONE; n++) {
        place_init(&places[n], c->kinds[n]);
        if (n > 0)
            places[n - 1].ai.ai_next = &places[n].ai;
    }
    int rc = connect_within(c, &places[0].ai, &fd, &err);
    if (c->winner >= 0) {
        OK(rc, err, c->label);
        check_won(c, places, fd);
    } else {
        check_refused(c->label, rc, &err, ERR_SYSTEM, c->says);
        CHECK(err.sys == c->sys && fd == -1, "%s: errno %d", c->label, err.sys);
    }
    while (n > 0)
        place_done(&places[--n]);
}

static void several(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(any_cases); i++)
        connects(&any_cases[i]);
}

static void cancelled(void **state)
{
    struct place place;
    struct cancel cancel;
    struct error err;
    int fd = -1;

    (void)state;
    place_init(&place, SILENT);
    OK(cancel_init(&cancel, &err), err, "cancel");
    cancel_request(&cancel);
    int rc = connect_any(&place.ai, "tcp:name:1", NULL, DEADLINE_NEVER, &cancel, &fd, &err);
    check_refused("cancelled", rc, &err, ERR_CANCELLED, "connect to 127.0.0.1:");
    cancel_done(&cancel);
    place_done(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(several), cmocka_unit_test(cancelled)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
