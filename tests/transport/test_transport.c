#include "transport/transport.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

static struct cancel cancel;
static struct transport_config config = {
    .connect_timeout_ms = HANG_MS, .stall_timeout_ms = 12345, .cancel = &cancel};

static int setup(void **state)
{
    struct error err;

    (void)state;
    return cancel_init(&cancel, &err);
}

static int teardown(void **state)
{
    (void)state;
    cancel_done(&cancel);
    return 0;
}

static struct address address(const char *text)
{
    struct address a;
    struct error err;

    OK(address_parse(text, &a, &err), err, text);
    return a;
}

static int dial(const char *text, int *ret_fd, struct error *err)
{
    struct address a = address(text);

    return transport_dial(&a, &config, ret_fd, err);
}

/* Waits for the incoming connection, and accepts it. */
static int accept_one(struct listener *l)
{
    struct pollfd p[LISTENER_MAX];
    struct error err;
    int fd = -1;

    while (fd < 0) {
        for (size_t i = 0; i < l->n; i++)
            p[i] = (struct pollfd){.fd = l->fds[i], .events = POLLIN};
        CHECK(poll(p, l->n, HANG_MS) > 0, "%s: nobody came", l->text);
        OK(listener_accept(l, &config, &fd, &err), err, l->text);
    }
    return fd;
}

static void check_connected(const char *label, int a, int b)
{
    char byte;

    CHECK(write(a, "x", 1) == 1 && read(b, &byte, 1) == 1 && byte == 'x', "%s: one way", label);
    CHECK(write(b, "y", 1) == 1 && read(a, &byte, 1) == 1 && byte == 'y', "%s: back", label);
    CHECK(!(fcntl(a, F_GETFL) & O_NONBLOCK) && !(fcntl(b, F_GETFL) & O_NONBLOCK),
          "%s: not blocking", label);
    CHECK(fcntl(a, F_GETFD) & FD_CLOEXEC && fcntl(b, F_GETFD) & FD_CLOEXEC,
          "%s: a child would inherit it", label);
}

/* Listens, dials the address that the listener reports, exchanges bytes. False: no
 * such family here. */
static bool round_trip(const char *listen_on, bool local)
{
    struct address at = address(listen_on);
    struct listener l;
    struct error err;

    if (transport_listen(&at, &config, &l, &err) < 0) {
        CHECK(err.sys == EAFNOSUPPORT || err.sys == EADDRNOTAVAIL || err.sys == ENODEV, "%s: %s",
              listen_on, err.text);
        return false;
    }
    AUTO_FD int none = -1, a = -1, b = -1;
    OK(listener_accept(&l, &config, &none, &err), err, listen_on);
    CHECK(none == -1, "%s: a connection that nobody made", listen_on);
    OK(dial(l.text, &a, &err), err, l.text);
    b = accept_one(&l);
    check_connected(listen_on, a, b);
    CHECK(transport_is_local(a) == local, "%s: is it local?", listen_on);
    CHECK(transport_is_local(b) == local, "%s: is it local there?", listen_on);
    listener_done(&l);
    return true;
}

static void tcp_both_families(void **state)
{
    (void)state;
    assert_true(round_trip("tcp:127.0.0.1:0", true));
    assert_true(round_trip("tcp:127.0.0.7:0", true));
    if (!round_trip("tcp:[::1]:0", true))
        print_message("no IPv6 on this machine\n");
}

static void unix_paths(void **state)
{
    char path[PATH_MAX], text[PATH_MAX + 8];
    struct stat st;

    (void)state;
    snprintf(text, sizeof(text), "unix:%s", temp_path(path, "s"));
    assert_true(round_trip(text, true));
    CHECK(lstat(path, &st) < 0, "the socket is left behind");
    assert_true(round_trip(text, true));
}

static void vsock_loopback(void **state)
{
    struct address to;
    struct listener l;
    struct error err;
    AUTO_FD int a = -1;

    (void)state;
    to = address("vsock:1:0"); /* VMADDR_CID_LOCAL */
    if (transport_listen(&to, &config, &l, &err) < 0) {
        print_message("skipped: no vsock loopback: %s\n", err.text);
        skip();
    }
    config.connect_timeout_ms = 1000;
    int rc = dial(l.text, &a, &err);
    config.connect_timeout_ms = HANG_MS;
    if (rc < 0) {
        listener_done(&l);
        print_message("skipped: vsock without a loopback: %s\n", err.text);
        skip();
    }
    AUTO_FD int b = accept_one(&l);
    check_connected("vsock", a, b);
    listener_done(&l);
}

/* A container may have no /etc/hosts. */
static void need_localhost(void)
{
    struct addrinfo *list;

    if (getaddrinfo("localhost", NULL, NULL, &list) != 0) {
        print_message("skipped: this machine has no address for localhost\n");
        skip();
    }
    freeaddrinfo(list);
}

/* Dials `host` at the listener's port; returns the listener's name for the peer. */
static void taken(struct listener *l, const char *label, const char *host, const char *peer)
{
    char text[64], found[TRANSPORT_PEER_LEN];
    struct error err;
    AUTO_FD int a = -1;

    snprintf(text, sizeof(text), "tcp:%s:%s", host, strrchr(l->text, ':') + 1);
    OK(dial(text, &a, &err), err, label);
    AUTO_FD int b = accept_one(l);
    check_connected(label, a, b);
    CHECK(transport_is_local(b), "%s: %s is local", label, host);
    transport_peer(b, found);
    CHECK(strncmp(found, peer, strlen(peer)) == 0, "%s: the peer is %s", label, found);
}

static void need_ipv6(void)
{
    struct address at = address("tcp:[::1]:0");
    struct listener l;
    struct error err;

    if (transport_listen(&at, &config, &l, &err) < 0) {
        print_message("skipped: no IPv6 on this machine: %s\n", err.text);
        skip();
    }
    listener_done(&l);
}

/* [::] is every interface, also for IPv4, as in QEMU; an empty host is both, on two sockets. */
static void both_families_at_once(void **state)
{
    static const struct {
        const char *text;
        size_t n; /* sockets */
    } cases[] = {{"tcp:[::]:0", 1}, {"tcp::0", 2}};

    (void)state;
    need_ipv6();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address at = address(cases[i].text);
        struct listener l;
        struct error err;

        OK(transport_listen(&at, &config, &l, &err), err, cases[i].text);
        CHECK(l.n == cases[i].n, "%s: %zu sockets", cases[i].text, l.n);
        taken(&l, cases[i].text, "127.0.0.1", "127.0.0.1:");
        taken(&l, cases[i].text, "[::1]", "[::1]:");
        taken(&l, cases[i].text, "[::]", "[::1]:");
        taken(&l, cases[i].text, "0.0.0.0", "127.0.0.1:");
        taken(&l, cases[i].text, "", "");
        listener_done(&l);
    }
}

/* An IPv4 address in IPv6 form works like any other. */
static void mapped_addresses(void **state)
{
    struct address at = address("tcp:[::ffff:127.0.0.1]:0");
    struct listener l;
    struct error err;

    (void)state;
    need_ipv6();
    OK(transport_listen(&at, &config, &l, &err), err, "mapped");
    taken(&l, "by IPv4", "127.0.0.1", "127.0.0.1:");
    taken(&l, "mapped", "[::ffff:127.0.0.1]", "127.0.0.1:");
    listener_done(&l);
}

/* Where another program has the IPv4 half of [::], IPv6 remains: QEMU listens there, too. */
static void ipv4_half_taken(void **state)
{
    struct address four = address("tcp:0.0.0.0:0");
    struct listener other, l;
    struct error err;
    char text[64];

    (void)state;
    need_ipv6();
    OK(transport_listen(&four, &config, &other, &err), err, "IPv4");
    snprintf(text, sizeof(text), "tcp:[::]:%s", strrchr(other.text, ':') + 1);
    struct address six = address(text);
    OK(transport_listen(&six, &config, &l, &err), err, text);
    taken(&l, "IPv6", "[::1]", "[::1]:");
    taken(&other, "IPv4", "127.0.0.1", "127.0.0.1:");
    struct listener third;
    check_refused("neither is left", transport_listen(&six, &config, &third, &err), &err,
                  ERR_SYSTEM, "Address already in use");
    listener_done(&l);
    listener_done(&other);
}

/* A name may have several addresses: the listener serves each of them, on one port. */
static void names_with_several_addresses(void **state)
{
    struct address at = address("tcp:localhost:0");
    struct listener l;
    struct error err;

    (void)state;
    need_localhost();
    OK(transport_listen(&at, &config, &l, &err), err, "localhost");
    CHECK(strncmp(l.text, "tcp:localhost:", 14) == 0 && strcmp(l.text + 14, "0") != 0, "text %s",
          l.text);
    for (size_t i = 0; i < l.n; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof(sa);
        char text[64];

        CHECK(getsockname(l.fds[i], (struct sockaddr *)&sa, &len) == 0, "getsockname");
        snprintf(text, sizeof(text), sa.ss_family == AF_INET6 ? "tcp:[::1]:%s" : "tcp:127.0.0.1:%s",
                 l.text + 14);
        AUTO_FD int a = -1;
        OK(dial(text, &a, &err), err, text);
        AUTO_FD int b = accept_one(&l);
        check_connected(text, a, b);
    }
    AUTO_FD int c = -1;
    OK(dial(l.text, &c, &err), err, "by the name");
    listener_done(&l);
}

/* Where localhost means ::1 first, nothing listens there: the next address is tried. */
static void dial_goes_on_to_the_next_address(void **state)
{
    struct address at = address("tcp:127.0.0.1:0");
    struct listener l;
    struct error err;
    char text[64];
    AUTO_FD int a = -1;

    (void)state;
    need_localhost();
    OK(transport_listen(&at, &config, &l, &err), err, "listen");
    snprintf(text, sizeof(text), "tcp:localhost:%s", strrchr(l.text, ':') + 1);
    OK(dial(text, &a, &err), err, text);
    AUTO_FD int b = accept_one(&l);
    check_connected(text, a, b);
    listener_done(&l);
}

/* If a name has several addresses, the next connections go to the one that was reached. */
static void pins_what_was_reached(void **state)
{
    struct address at = address("tcp:127.0.0.1:0"), to;
    struct listener l;
    struct error err;
    char text[64];
    AUTO_FD int a = -1;

    (void)state;
    need_localhost();
    OK(transport_listen(&at, &config, &l, &err), err, "listen");
    snprintf(text, sizeof(text), "tcp:localhost:%s", strrchr(l.text, ':') + 1);
    to = address(text);
    OK(transport_dial(&to, &config, &a, &err), err, text);
    transport_pin(&to, a);
    CHECK(strcmp(to.host, "127.0.0.1") == 0 && strcmp(to.text, text) == 0, "host %s, text %s",
          to.host, to.text);
    AUTO_FD int b = -1;
    OK(transport_dial(&to, &config, &b, &err), err, "pinned");
    transport_pin(&at, -1); /* no connection to learn from: the address stays as it is */
    assert_string_equal(at.host, "127.0.0.1");
    listener_done(&l);
}

/* A listener that accepts nothing and has a full queue: connecting to it never ends. */
static int full_listener(int *fds, size_t n, char *ret_text)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 0) == 0 &&
              getsockname(fd, (struct sockaddr *)&sa, &len) == 0,
          "a listener");
    for (size_t i = 0; i < n; i++) {
        struct pollfd p;

        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(fds[i], (struct sockaddr *)&sa, sizeof(sa));
        p = (struct pollfd){.fd = fds[i], .events = POLLOUT};
        poll(&p, 1, i == 0 ? 1000 : 10);
    }
    snprintf(ret_text, 64, "tcp:127.0.0.1:%u", ntohs(sa.sin_port));
    return fd;
}

static void connecting_has_a_deadline(void **state)
{
    char text[64];
    int fds[4], fd = full_listener(fds, ARRAY_LEN(fds), text), connected = -1;
    struct error err;

    (void)state;
    config.connect_timeout_ms = 20;
    check_refused("full queue", dial(text, &connected, &err), &err, ERR_SYSTEM,
                  "connect to 127.0.0.1:");
    config.connect_timeout_ms = HANG_MS;
    CHECK(err.sys == ETIMEDOUT && connected == -1, "errno %d, fd %d", err.sys, connected);
    cancel_request(&cancel);
    check_refused("cancelled", dial(text, &connected, &err), &err, ERR_CANCELLED, "cancelled");
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    close(fd);
}

static void nobody_there(void **state)
{
    char path[PATH_MAX], text[PATH_MAX + 8];
    struct address at = address("tcp:127.0.0.1:0");
    struct listener l;
    struct error err;
    int fd = -1;

    (void)state;
    OK(transport_listen(&at, &config, &l, &err), err, "a port");
    strcpy(text, l.text);
    listener_done(&l);
    check_refused("no listener", dial(text, &fd, &err), &err, ERR_SYSTEM, "Connection refused");
    snprintf(text, sizeof(text), "unix:%s", temp_path(path, "nobody"));
    check_refused("no socket", dial(text, &fd, &err), &err, ERR_SYSTEM, "No such file");
    check_refused("no such name", dial("tcp:name.invalid:1", &fd, &err), &err, ERR_SYSTEM,
                  "look up tcp:name.invalid:1");
    check_refused("no such service", dial("tcp:127.0.0.1:nosuchservice", &fd, &err), &err,
                  ERR_SYSTEM, "look up tcp:127.0.0.1:nosuchservice");
    CHECK(fd == -1, "the result was touched");
}

static void port_in_use(void **state)
{
    struct address at = address("tcp:127.0.0.1:0");
    struct listener l, second = {0};
    struct error err;

    (void)state;
    OK(transport_listen(&at, &config, &l, &err), err, "listen");
    struct address same = address(l.text);
    check_refused("a second time", transport_listen(&same, &config, &second, &err), &err,
                  ERR_SYSTEM, "Address already in use");
    listener_done(&second);
    listener_done(&l);
    OK(transport_listen(&same, &config, &l, &err), err, "again, once it is free");
    listener_done(&l);
}

static void unix_leftovers(void **state)
{
    char path[PATH_MAX], text[PATH_MAX + 8];
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct listener l, second;
    struct error err;

    (void)state;
    snprintf(text, sizeof(text), "unix:%s", temp_path(path, "left"));
    strcpy(sa.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "bind");
    close(fd); /* as a killed process leaves the path */
    struct address at = address(text);
    OK(transport_listen(&at, &config, &l, &err), err, "over a stale socket");
    check_refused("over a live one", transport_listen(&at, &config, &second, &err), &err,
                  ERR_SYSTEM, "Address already in use");
    AUTO_FD int a = -1;
    OK(dial(text, &a, &err), err, "the live one survived");
    listener_done(&l);
    file_write(path, "precious", 8);
    check_refused("over a file", transport_listen(&at, &config, &l, &err), &err, ERR_SYSTEM,
                  "Address already in use");
    struct buf b = file_bytes(path);
    CHECK(b.len == 8, "the file was touched");
    buf_done(&b);
}

static void descriptors(void **state)
{
    char text[32];
    int pair[2];
    AUTO_FD int fd = -1;
    struct error err;

    (void)state;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    snprintf(text, sizeof(text), "fd:%d", pair[0]);
    struct address at = address(text);
    CHECK(!transport_many(&at), "one descriptor is one connection");
    OK(transport_dial(&at, &config, &fd, &err), err, "a connected one");
    CHECK(fd != pair[0], "not a duplicate");
    close(pair[0]); /* the owner of the number may close it */
    check_connected("dial fd", fd, pair[1]);
    close(pair[1]);
}

static void descriptor_listeners(void **state)
{
    char text[32];
    int pair[2];
    struct listener l;
    struct error err;

    (void)state;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
    snprintf(text, sizeof(text), "fd:%d", pair[0]);
    struct address at = address(text);
    OK(transport_listen(&at, &config, &l, &err), err, "a connected one");
    CHECK(l.single, "handed out once");
    AUTO_FD int a = -1, b = -1;
    OK(listener_accept(&l, &config, &a, &err), err, "first");
    CHECK(a >= 0, "no descriptor");
    check_connected("connected fd", a, pair[1]);
    OK(listener_accept(&l, &config, &b, &err), err, "second");
    CHECK(b == -1, "handed out twice");
    listener_done(&l);
    close(pair[0]);
    close(pair[1]);

    struct address any = address("tcp:127.0.0.1:0");
    struct listener real;
    OK(transport_listen(&any, &config, &real, &err), err, "a listener");
    snprintf(text, sizeof(text), "fd:%d", real.fds[0]);
    at = address(text);
    OK(transport_listen(&at, &config, &l, &err), err, "a listening one");
    AUTO_FD int c = -1;
    OK(dial(real.text, &c, &err), err, "dial it");
    AUTO_FD int d = accept_one(&l);
    check_connected("listening fd", c, d);
    int out = -1;
    check_refused("to dial a listener", transport_dial(&at, &config, &out, &err), &err, ERR_USAGE,
                  "it listens");
    listener_done(&l);
    listener_done(&real);
}

static void descriptors_that_will_not_do(void **state)
{
    int datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int file = open("/dev/null", O_RDWR | O_CLOEXEC), closed = dup(file), fd = -1;
    const struct {
        const char *label;
        int fd;
        enum err_kind kind;
        const char *refused;
    } cases[] = {
        {"datagram socket", datagram, ERR_USAGE, "expected a stream socket"},
        {"no socket", file, ERR_SYSTEM, "not a socket"},
        {"not open", closed, ERR_SYSTEM, "Bad file descriptor"},
    };

    (void)state;
    close(closed);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[32];
        struct listener l;
        struct error err;

        snprintf(text, sizeof(text), "fd:%d", cases[i].fd);
        struct address at = address(text);
        int rc = transport_dial(&at, &config, &fd, &err);
        if (cases[i].kind == ERR_SYSTEM) /* the C library's text for it varies */
            CHECK(rc < 0 && err.kind == ERR_SYSTEM, "%s: dialled", cases[i].label);
        else
            check_refused(cases[i].label, rc, &err, cases[i].kind, cases[i].refused);
        CHECK(transport_listen(&at, &config, &l, &err) < 0, "%s: listens", cases[i].label);
    }
    close(datagram);
    close(file);
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    CHECK(getsockopt(fd, level, name, &value, &len) == 0, "getsockopt %d", name);
    return value;
}

static bool is_reno(int fd)
{
    char name[16] = "";
    socklen_t len = sizeof(name);

    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0, "TCP_CONGESTION");
    return strcmp(name, "reno") == 0;
}

static void tcp_is_tuned_on_both_ends(void **state)
{
    struct address at = address("tcp:127.0.0.1:0");
    struct listener l;
    struct error err;
    AUTO_FD int a = -1;

    (void)state;
    OK(transport_listen(&at, &config, &l, &err), err, "listen");
    OK(dial(l.text, &a, &err), err, "dial");
    AUTO_FD int b = accept_one(&l);
    const int ends[] = {a, b};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        CHECK(option(ends[i], IPPROTO_TCP, TCP_NODELAY), "end %zu: delays", i);
        CHECK(option(ends[i], SOL_SOCKET, SO_KEEPALIVE), "end %zu: no keepalive", i);
        /* Our waits have their own clock; the kernel's time limit is for sockets that no
         * thread waits for. */
        CHECK(option(ends[i], IPPROTO_TCP, TCP_USER_TIMEOUT) > 100000, "end %zu: impatient", i);
        CHECK(option(ends[i], IPPROTO_TCP, TCP_KEEPIDLE) == 1, "end %zu: asks too late", i);
        CHECK(option(ends[i], IPPROTO_TCP, TCP_KEEPINTVL) == 1, "end %zu: asks too seldom", i);
    }
    CHECK(is_reno(a), "loopback is paced like a network");
    listener_done(&l);
}

/* The end of one listener does not end the sockets: what connects then is another's. */
static void sockets_are_shared(void **state)
{
    struct address at = address("tcp:127.0.0.1:0");
    struct listener own, first, second;
    struct error err;

    (void)state;
    OK(transport_listen(&at, &config, &own, &err), err, "listen");
    OK(listener_share(&own, &first, &err), err, "share");
    CHECK(strcmp(own.text, first.text) == 0 && first.n == own.n, "%s", first.text);
    listener_done(&first);
    AUTO_FD int fd = -1;
    OK(dial(own.text, &fd, &err), err, "between two");
    OK(listener_share(&own, &second, &err), err, "share again");
    AUTO_FD int accepted = accept_one(&second);
    CHECK(accepted >= 0, "nobody between two");
    listener_done(&second);
    listener_done(&own);
}

/* As many as there are, each with its connections; they stay the caller's. */
static void handed_sockets_listen(void **state)
{
    struct address at = address("tcp:127.0.0.1:0");
    struct listener a, b, both;
    struct error err;

    (void)state;
    OK(transport_listen(&at, &config, &a, &err), err, "one");
    OK(transport_listen(&at, &config, &b, &err), err, "another");
    const int fds[] = {a.fds[0], b.fds[0]};
    OK(transport_listen_on(fds, 2, "handed", &both, &err), err, "both");
    CHECK(strcmp(both.text, a.text) == 0, "%s, want %s", both.text, a.text);
    AUTO_FD int to_b = -1, to_a = -1;
    OK(dial(b.text, &to_b, &err), err, "to the second");
    AUTO_FD int from_b = accept_one(&both);
    CHECK(from_b >= 0, "nobody at the second");
    OK(dial(a.text, &to_a, &err), err, "to the first");
    AUTO_FD int from_a = accept_one(&both);
    CHECK(from_a >= 0, "nobody at the first");
    listener_done(&both);
    AUTO_FD int late = -1;
    OK(dial(a.text, &late, &err), err, "the caller's still listens");
    listener_done(&a);
    listener_done(&b);
}

/* A connected socket can be handed out once only, and a file is none. */
static void only_listeners_are_shared(void **state)
{
    struct listener ret, single = {.single = true, .text = "fd:7"};
    AUTO_FD int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO_FD int unbound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct error err;

    (void)state;
    check_refused("connected", listener_share(&single, &ret, &err), &err, ERR_USAGE,
                  "it is connected");
    check_refused("no socket", transport_listen_on(&file, 1, "handed", &ret, &err), &err,
                  ERR_SYSTEM, "handed");
    check_refused("does not listen", transport_listen_on(&unbound, 1, "handed", &ret, &err), &err,
                  ERR_USAGE, "a socket that listens");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sockets_are_shared),
        TEST(handed_sockets_listen),
        TEST(only_listeners_are_shared),
        TEST(tcp_both_families),
        TEST(unix_paths),
        TEST(vsock_loopback),
        TEST(both_families_at_once),
        TEST(mapped_addresses),
        TEST(ipv4_half_taken),
        TEST(names_with_several_addresses),
        TEST(dial_goes_on_to_the_next_address),
        TEST(pins_what_was_reached),
        TEST(connecting_has_a_deadline),
        TEST(nobody_there),
        TEST(port_in_use),
        TEST(unix_leftovers),
        TEST(descriptors),
        TEST(descriptor_listeners),
        TEST(descriptors_that_will_not_do),
        TEST(tcp_is_tuned_on_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
