#include "migration/cpr_channel.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "transport/pass_fd.h"

#define HEAD    "QCPR\0\0\0\1"
#define ENTRY   "\1\0\0\0\7pc.ram\0\0\0\0\0"
#define ENTRY_B "\1\0\0\0\2b\0\0\0\0\0"

static struct cancel never = {.fd = -1};
static const struct transport_config patient = {HANG_MS, HANG_MS, &never};

static void address_at(const char *name, struct address *ret)
{
    char path[PATH_MAX], text[200];
    struct error err;

    snprintf(text, sizeof(text), "unix:%.190s", temp_path(path, name));
    OK(address_parse(text, ret, &err), err, text);
}

static unsigned count_fds(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* --- both ends ------------------------------------------------------------------------------- */

struct destination {
    struct listener listener;
    struct transport_config config;
    struct cpr_state state;
    int fd, rc;
    struct error err;
    pthread_t thread;
};

static void *receive(void *arg)
{
    struct destination *d = arg;

    d->fd = -1;
    d->rc = cpr_channel_receive(&d->listener, &d->config, &d->state, &d->fd, &d->err);
    return NULL;
}

static void start(struct destination *d, const struct address *at,
                  const struct transport_config *config)
{
    struct error err;

    d->config = *config;
    OK(transport_listen(at, config, &d->listener, &err), err, "listen");
    assert_int_equal(pthread_create(&d->thread, NULL, receive, d), 0);
}

static void *close_soon(void *arg)
{
    struct destination *d = arg;

    pthread_join(d->thread, NULL);
    fd_close(&d->fd);
    return NULL;
}

static void hands_over(void **state)
{
    int a = memfd_create("a", MFD_CLOEXEC), b = memfd_create("b", MFD_CLOEXEC);
    struct cpr_state list = {.n = 0};
    struct destination d;
    struct address at;
    struct stat sent, got;
    pthread_t closer;
    struct error err;

    (void)state;
    address_at("both", &at);
    OK(cpr_state_add(&list, "pc.ram", a, &err), err, "a");
    OK(cpr_state_add(&list, "more", b, &err), err, "b");
    start(&d, &at, &patient);
    assert_int_equal(pthread_create(&closer, NULL, close_soon, &d), 0);
    OK(cpr_channel_send(&at, &list, &patient, &err), err, "send");
    pthread_join(closer, NULL);
    OK(d.rc, d.err, "receive");
    assert_int_equal(d.state.n, 2);
    for (size_t i = 0; i < 2; i++) {
        int fd = d.state.entries[i].fd;

        assert_string_equal(d.state.entries[i].name, list.entries[i].name);
        CHECK(fstat(list.entries[i].fd, &sent) == 0 && fstat(fd, &got) == 0 &&
                  sent.st_ino == got.st_ino,
              "%zu: the same memory", i);
        CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC, "%zu: closes at exec", i);
    }
    cpr_state_close(&d.state);
    listener_done(&d.listener);
    close(a);
    close(b);
}

/* --- hostile sources ------------------------------------------------------------------------- */

struct piece {
    const char *bytes;
    size_t len;
    unsigned n_fds; /* that come with these bytes */
};
#define PIECE(s, n)                                                                                \
    {                                                                                              \
        s, sizeof(s) - 1, n                                                                        \
    }

static const struct hostile_source {
    const char *label;
    struct piece pieces[4];
    bool stays; /* it stays connected and says nothing more */
    const char *part;
} hostile_sources[] = {
    {"nothing", {{0}}, false, "cut off after 0 bytes"},
    {"silence", {{0}}, true, "gave up waiting"},
    {"another magic", {PIECE("QEVM\0\0\0\3", 0)}, false, "magic 0x5145564d"},
    {"another version", {PIECE("QCPR\0\0\0\2", 0)}, false, "version 2"},
    {"cut", {PIECE(HEAD ENTRY, 0)}, false, "cut off after"},
    {"cut, and silence", {PIECE(HEAD ENTRY, 0)}, true, "gave up waiting"},
    {"no descriptor", {PIECE(HEAD ENTRY " \0", 0)}, false, "0 descriptors for 1 entries"},
    {"one too many", {PIECE(HEAD ENTRY " \0", 2)}, false, "2 descriptors for 1 entries"},
    {"one too few",
     {PIECE(HEAD ENTRY, 0), PIECE(" ", 1), PIECE(ENTRY_B " \0", 0)},
     false,
     "1 descriptors for 2 entries"},
    {"one behind the end", {PIECE(HEAD ENTRY " \0", 1), PIECE("x", 1)}, false, ""},
    {"far too many", {PIECE(HEAD, 64), PIECE(ENTRY, 64)}, false, "more than 64 descriptors"},
    {"a name without end", {PIECE(HEAD "\1\0\0\0\2xy\0\0\0\0", 1)}, false, "does not end"},
    {"a huge name", {PIECE(HEAD "\1\x7f\xff\xff\xff", 1)}, false, "a name of 2147483647 bytes"},
};

static void send_piece(int fd, const struct piece *p)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC), fds[64];
    union {
        char room[CMSG_SPACE(sizeof(fds))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(char *)p->bytes, p->len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    for (unsigned i = 0; i < p->n_fds; i++)
        fds[i] = null;
    if (p->n_fds) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(p->n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(p->n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, p->n_fds * sizeof(int));
    }
    (void)!sendmsg(fd, &message, MSG_NOSIGNAL); /* it may have been dropped already */
    close(null);
}

static void survives_hostile_sources(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile_sources); i++) {
        const struct hostile_source *c = &hostile_sources[i];
        struct transport_config config = patient;
        unsigned before = count_fds();
        struct destination d;
        struct address at;
        struct error err;
        int fd;

        if (c->stays)
            config.stall_timeout_ms = 100;
        address_at("hostile", &at);
        start(&d, &at, &config);
        OK(transport_dial(&at, &patient, &fd, &err), err, c->label);
        for (size_t p = 0; p < ARRAY_LEN(c->pieces) && c->pieces[p].bytes; p++)
            send_piece(fd, &c->pieces[p]);
        if (!c->stays)
            fd_close(&fd);
        pthread_join(d.thread, NULL);
        fd_close(&fd);
        if (d.rc < 0 || c->part[0])
            check_refused(c->label, d.rc, &d.err, c->stays ? ERR_SYSTEM : ERR_PEER, c->part);
        else
            cpr_state_close(&d.state); /* the bytes after the end had not arrived yet */
        fd_close(&d.fd);
        listener_done(&d.listener);
        CHECK(count_fds() == before, "%s: %u descriptors, %u before", c->label, count_fds(),
              before);
    }
}

/* --- hostile destinations -------------------------------------------------------------------- */

enum reaction { SAYS_SOMETHING, STAYS_SILENT, IS_CANCELLED };

static const struct hostile_destination {
    const char *label;
    enum reaction reaction;
    const char *part;
    enum err_kind kind;
} hostile_destinations[] = {
    {"says something", SAYS_SOMETHING, "sent something, expected nothing", ERR_PEER},
    {"stays", STAYS_SILENT, "waiting for the destination to listen", ERR_SYSTEM},
    {"stays, and we are cancelled", IS_CANCELLED, "cancelled", ERR_CANCELLED},
};

struct reactor {
    struct listener listener;
    enum reaction reaction;
    struct cancel *cancel;
    int fd;
};

static void *react(void *arg)
{
    struct reactor *r = arg;
    struct pollfd p = {.fd = r->listener.fds[0], .events = POLLIN};
    char bytes[64];

    assert_true(poll(&p, 1, HANG_MS) > 0);
    r->fd = accept4(r->listener.fds[0], NULL, NULL, SOCK_CLOEXEC);
    while (recv(r->fd, bytes, sizeof(bytes), 0) > 0)
        ;
    if (r->reaction == SAYS_SOMETHING)
        (void)!send(r->fd, "x", 1, MSG_NOSIGNAL);
    if (r->reaction == IS_CANCELLED)
        cancel_request(r->cancel);
    return NULL;
}

static void gives_up_destinations(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile_destinations); i++) {
        const struct hostile_destination *c = &hostile_destinations[i];
        struct transport_config config = patient;
        struct cpr_state list = {.n = 0};
        struct cancel cancel;
        struct reactor r = {.reaction = c->reaction, .cancel = &cancel, .fd = -1};
        struct address at;
        struct error err;
        pthread_t thread;

        OK(cancel_init(&cancel, &err), err, "cancel");
        config.cancel = &cancel;
        if (c->reaction == STAYS_SILENT)
            config.connect_timeout_ms = 100;
        address_at("reactor", &at);
        OK(transport_listen(&at, &config, &r.listener, &err), err, "listen");
        OK(cpr_state_add(&list, "pc.ram", STDERR_FILENO, &err), err, "add");
        assert_int_equal(pthread_create(&thread, NULL, react, &r), 0);
        check_refused(c->label, cpr_channel_send(&at, &list, &config, &err), &err, c->kind,
                      c->part);
        pthread_join(thread, NULL);
        fd_close(&r.fd);
        listener_done(&r.listener);
        cancel_done(&cancel);
    }
}

static void nobody_is_there(void **state)
{
    struct cpr_state list = {.n = 0};
    struct address at;
    struct error err;

    (void)state;
    address_at("nobody", &at);
    check_refused("nobody", cpr_channel_send(&at, &list, &patient, &err), &err, ERR_SYSTEM,
                  "connect to unix:");
}

static void waits_until_cancelled(void **state)
{
    struct transport_config config = patient;
    struct destination d;
    struct cancel cancel;
    struct address at;
    struct error err;

    (void)state;
    OK(cancel_init(&cancel, &err), err, "cancel");
    config.cancel = &cancel;
    address_at("cancelled", &at);
    start(&d, &at, &config);
    cancel_request(&cancel);
    pthread_join(d.thread, NULL);
    check_refused("cancelled", d.rc, &d.err, ERR_CANCELLED, "cancelled");
    listener_done(&d.listener);
    cancel_done(&cancel);
}

static int set_up(void **state)
{
    struct error err;

    (void)state;
    return cancel_init(&never, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_over),
        cmocka_unit_test(survives_hostile_sources),
        cmocka_unit_test(gives_up_destinations),
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(waits_until_cancelled),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
