/* A probe tells whether something listens, and what listens does not notice it. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "transport/transport.h"

static const struct cancel never = {.fd = -1};
static const struct transport_config config = {.connect_timeout_ms = HANG_MS, .cancel = &never};

static int probe(const char *text, struct error *err)
{
    struct address to;

    OK(address_parse(text, &to, err), *err, text);
    return transport_probe(&to, &config, err);
}

static void check_unnoticed(const char *text)
{
    struct listener l;
    struct address at;
    struct error err;
    int fd = -1;

    OK(address_parse(text, &at, &err), err, text);
    OK(transport_listen(&at, &config, &l, &err), err, text);
    strcpy(at.text, l.text);
    for (int i = 0; i < 20; i++) {
        OK(probe(at.text, &err), err, at.text);
        OK(listener_accept(&l, &config, &fd, &err), err, at.text);
        CHECK(fd == -1, "%s: a connection has come", at.text);
    }
    /* What is dialled afterwards is the first that comes. */
    OK(address_parse(l.text, &at, &err), err, l.text);
    OK(transport_dial(&at, &config, &fd, &err), err, l.text);
    CHECK(write(fd, "x", 1) == 1, "write");
    int accepted = -1;
    while (accepted < 0)
        OK(listener_accept(&l, &config, &accepted, &err), err, l.text);
    char byte = 0;
    CHECK(read(accepted, &byte, 1) == 1 && byte == 'x', "%s: another connection", l.text);
    close(fd);
    close(accepted);
    listener_done(&l);
    CHECK(probe(at.text, &err) == -1, "%s: still there", at.text);
}

static void what_listens_does_not_notice(void **state)
{
    char path[PATH_MAX], text[PATH_MAX + 8];

    (void)state;
    check_unnoticed("tcp:127.0.0.1:0");
    snprintf(text, sizeof(text), "unix:%s", temp_path(path, "it"));
    check_unnoticed(text);
}

/* A process that was killed has left it. */
static void leave_a_socket(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(strlen(path) < sizeof(sa.sun_path), "%s", path);
    strcpy(sa.sun_path, path);
    CHECK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "bind");
    close(fd);
}

static void nobody_there(void **state)
{
    char path[PATH_MAX], text[PATH_MAX + 8];
    struct error err;

    (void)state;
    check_refused("a port", probe("tcp:127.0.0.1:1", &err), &err, ERR_SYSTEM,
                  "connect to 127.0.0.1:1: Connection refused");
    snprintf(text, sizeof(text), "unix:%s", temp_path(path, "absent"));
    check_refused("a path", probe(text, &err), &err, ERR_SYSTEM, "No such file");
    snprintf(text, sizeof(text), "unix:%s", temp_path(path, "left"));
    leave_a_socket(path);
    check_refused("a socket without a process", probe(text, &err), &err, ERR_SYSTEM, "refused");
    check_refused("a name", probe("tcp:name.invalid:1", &err), &err, ERR_SYSTEM, "look up");
}

static void what_cannot_be_known_is_no_failure(void **state)
{
    struct error err;

    (void)state;
    OK(probe("fd:0", &err), err, "fd:0");
    OK(probe("file:/nowhere/at/all", &err), err, "file:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_listens_does_not_notice),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(what_cannot_be_known_is_no_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
