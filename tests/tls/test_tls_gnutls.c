/* Handshakes and bytes against GnuTLS, which QEMU uses for TLS: its own two tools. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "tests/support/tls_pair.h"
#include "tls/tls_channel.h"

/* --- a program with pipes --------------------------------------------------------------------- */

struct program {
    pid_t pid;
    int in, out; /* our ends */
};

static struct program start(const char *const argv[])
{
    int in[2], out[2];

    CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "pipe");
    struct program p = {.pid = fork(), .in = in[1], .out = out[0]};
    CHECK(p.pid >= 0, "fork");
    if (p.pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(out[1], 2);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    return p;
}

/* Reads the program's output until `part` has appeared; false at the end of the output. */
static bool await_output(const struct program *p, const char *part, char *text, size_t room)
{
    size_t len = 0;
    ssize_t n;

    text[0] = 0;
    while (!strstr(text, part) && (n = read(p->out, text + len, room - 1 - len)) > 0) {
        len += (size_t)n;
        text[len] = 0;
    }
    return strstr(text, part);
}

static void stop(struct program *p)
{
    kill(p->pid, SIGTERM);
    waitpid(p->pid, NULL, 0);
    fd_close(&p->in);
    fd_close(&p->out);
}

static bool is_installed(const char *program)
{
    struct program p = start((const char *const[]){program, "--version", NULL});
    int status = 0;

    waitpid(p.pid, &status, 0);
    fd_close(&p.in);
    fd_close(&p.out);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static int listen_somewhere(char port[static 8])
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    CHECK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 1) == 0 &&
              getsockname(fd, (struct sockaddr *)&sa, &len) == 0,
          "listen");
    snprintf(port, 8, "%u", ntohs(sa.sin_port));
    return fd;
}

static struct channel *dial(const char *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)atoi(port))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "connect to port %s", port);
    return channel_of_fd(fd, HANG_MS);
}

/* --- cases ------------------------------------------------------------------------------------ */

#define TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define TLS12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define PSK   ":-KX-ALL:+ECDHE-PSK:+DHE-PSK:+PSK"

#define KEY       "00112233445566778899aabbccddeeff" /* the user qemu of keys.psk */
#define OTHER_KEY "ffffffffffffffffffffffffffffffff"

static const struct gnutls_case {
    const char *label, *priority;
    struct tls_config ours;
    const char *theirs;  /* a folder, or a user */
    const char *key;     /* that user's */
    const char *version; /* NULL: it fails */
    const char *refused; /* a part of our error */
} cases[] = {
    {"certificates, 1.3", TLS13, {.dir = "good"}, "good", NULL, "TLSv1.3", NULL},
    {"certificates, 1.2", TLS12, {.dir = "good"}, "good", NULL, "TLSv1.2", NULL},
    {"revocations", TLS13, {.dir = "strict"}, "good", NULL, "TLSv1.3", NULL},
    {"another authority", TLS13, {.dir = "good"}, "other", NULL, NULL, "is of no authority in"},
    {"keys, 1.3", TLS13 PSK, {.psk_file = "keys.psk"}, "qemu", KEY, "TLSv1.3", NULL},
    {"keys, 1.2", TLS12 PSK, {.psk_file = "keys.psk"}, "qemu", KEY, "TLSv1.2", NULL},
    {"another key, 1.3", TLS13 PSK, {.psk_file = "keys.psk"}, "qemu", OTHER_KEY, NULL, "key"},
    {"another key, 1.2", TLS12 PSK, {.psk_file = "keys.psk"}, "qemu", OTHER_KEY, NULL, "key"},
    {"unknown user, 1.3", TLS13 PSK, {.psk_file = "keys.psk"}, "eve", OTHER_KEY, NULL, "user"},
    {"unknown user, 1.2", TLS12 PSK, {.psk_file = "keys.psk"}, "eve", OTHER_KEY, NULL, "user"},
};

/* Words of a command line, and the texts that they point to. */
struct command {
    const char *argv[24];
    size_t n;
    char text[8][PATH_MAX];
    size_t n_texts;
};

static void add(struct command *c, const char *word)
{
    CHECK(c->n < ARRAY_LEN(c->argv) - 1, "too many words");
    c->argv[c->n++] = word;
}

static void add_file(struct command *c, const char *option, const char *dir, const char *file)
{
    char name[64];

    snprintf(name, sizeof(name), "%s/%s", dir, file);
    add(c, option);
    add(c, temp_path(c->text[c->n_texts++], name));
}

static void add_folder(struct command *c, const char *dir, const char *role)
{
    char cert[32], key[32];

    snprintf(cert, sizeof(cert), "%s-cert.pem", role);
    snprintf(key, sizeof(key), "%s-key.pem", role);
    add_file(c, "--x509cafile", dir, "ca-cert.pem");
    add_file(c, "--x509certfile", dir, cert);
    add_file(c, "--x509keyfile", dir, key);
}

static struct tls_creds *our_creds(const struct gnutls_case *c, bool server)
{
    struct tls_config config = c->ours;

    config.server = server;
    config.hostname = config.dir && !server ? "host.example" : NULL;
    return tls_creds_named(config);
}

static void check_agreed(const struct gnutls_case *c, const struct channel *tls)
{
    struct channel_security info = channel_security(tls);

    CHECK(strcmp(info.version, c->version) == 0, "%s: %s", c->label, info.version);
}

static void check_failed(const struct gnutls_case *c, int rc, const struct error *err)
{
    check_refused(c->label, rc, err, ERR_PEER, c->refused);
}

/* --- we are the client ------------------------------------------------------------------------ */

static struct program start_server(const struct gnutls_case *c, const char *port)
{
    struct command cmd = {0};
    char said[4096], line[256];

    add(&cmd, "gnutls-serv");
    add(&cmd, "--echo");
    add(&cmd, "--priority");
    add(&cmd, c->priority);
    add(&cmd, "--port");
    add(&cmd, port);
    if (c->key) {
        snprintf(line, sizeof(line), "%s:%s\n", c->theirs, c->key);
        file_write(temp_path(cmd.text[0], "theirs.psk"), line, strlen(line));
        cmd.n_texts = 1;
        add(&cmd, "--pskpasswd");
        add(&cmd, cmd.text[0]);
    } else {
        add_folder(&cmd, c->theirs, "server");
        add(&cmd, "--require-client-cert");
        add(&cmd, "--verify-client-cert");
    }
    struct program p = start(cmd.argv);
    CHECK(await_output(&p, "IPv4", said, sizeof(said)) &&
              (strstr(said, "done") || await_output(&p, "done", said, sizeof(said))),
          "%s: gnutls-serv says: %s", c->label, said);
    return p;
}

/* The echo comes line by line, and under TLS 1.3 after two tickets. */
static int talk(struct channel *tls, struct error *err)
{
    static const char line[] = "the quick brown fox jumps over the lazy dog\n";
    char back[sizeof(line)] = "";

    for (int i = 0; i < 200; i++) {
        struct iovec iov = {back, sizeof(line) - 1};
        size_t got;

        if (channel_send(tls, line, sizeof(line) - 1, 0, err) < 0 ||
            channel_recvv(tls, &iov, 1, sizeof(line) - 1, 0, &got, err) < 0)
            return -1;
        CHECK(strcmp(back, line) == 0, "echo: %s", back);
    }
    return channel_finish(tls, HANG_MS, err);
}

static void meet_server(const struct gnutls_case *c)
{
    struct tls_creds *creds = our_creds(c, false);
    struct channel *tls = NULL;
    struct error err;
    char port[8];

    close(listen_somewhere(port)); /* a port that was free a moment ago */
    struct program p = start_server(c, port);
    struct channel *below = dial(port);
    int rc = tls_channel_new(below, creds, deadline_in_ms(HANG_MS), &tls, &err);
    if (rc < 0)
        channel_free(below);
    else
        rc = talk(tls, &err);
    if (c->version) {
        OK(rc, err, c->label);
        check_agreed(c, tls);
    } else {
        check_failed(c, rc, &err);
    }
    channel_free(tls);
    stop(&p);
    tls_creds_free(creds);
}

static void meets_its_server(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        meet_server(&cases[i]);
}

/* --- we are the server ------------------------------------------------------------------------ */

static struct program start_client(const struct gnutls_case *c, const char *port)
{
    struct command cmd = {0};

    add(&cmd, "gnutls-cli");
    add(&cmd, "--priority");
    add(&cmd, c->priority);
    add(&cmd, "--port");
    add(&cmd, port);
    if (c->key) {
        add(&cmd, "--pskusername");
        add(&cmd, c->theirs);
        add(&cmd, "--pskkey");
        add(&cmd, c->key);
    } else {
        add_folder(&cmd, c->theirs, "client");
        add(&cmd, "--verify-hostname=host.example");
        /* Without it gnutls-cli itself would refuse a case that we have to refuse. */
        if (!c->version)
            add(&cmd, "--insecure");
    }
    add(&cmd, "127.0.0.1");
    return start(cmd.argv);
}

/* The program sends what it reads from its input; at the input's end it sends close_notify. */
static void listen_to(struct program *p, struct channel *tls)
{
    char bytes[3000], got_bytes[3000], said[65536];
    struct error err;
    size_t got = 1;

    memset(bytes, 'x', sizeof(bytes));
    bytes[sizeof(bytes) - 1] = '\n';
    CHECK(write(p->in, bytes, sizeof(bytes)) == sizeof(bytes), "write");
    struct iovec iov = {got_bytes, sizeof(got_bytes)};
    OK(channel_recvv(tls, &iov, 1, sizeof(bytes), 0, &got, &err), err, "receive");
    CHECK(memcmp(bytes, got_bytes, sizeof(bytes)) == 0, "other bytes came");
    OK(channel_send(tls, "enough of it\n", 13, 0, &err), err, "send");
    CHECK(await_output(p, "enough of it", said, sizeof(said)), "gnutls-cli says: %s", said);
    fd_close(&p->in);
    iov = (struct iovec){got_bytes, 1};
    OK(channel_recvv(tls, &iov, 1, 1, CHANNEL_MAY_IDLE, &got, &err), err, "the end");
    CHECK(got == 0 && !tls->cut, "%zu bytes, cut %d", got, tls->cut);
    OK(channel_finish(tls, HANG_MS, &err), err, "finish");
}

static void meet_client(const struct gnutls_case *c)
{
    struct tls_creds *creds = our_creds(c, true);
    struct channel *tls = NULL;
    struct error err;
    char port[8];
    int listening = listen_somewhere(port);
    struct program p = start_client(c, port);
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

    CHECK(fd >= 0, "accept");
    struct channel *below = channel_of_fd(fd, HANG_MS);
    int rc = tls_channel_new(below, creds, deadline_in_ms(HANG_MS), &tls, &err);
    if (rc < 0)
        channel_free(below);
    if (c->version) {
        OK(rc, err, c->label);
        check_agreed(c, tls);
        /* gnutls-cli 3.7.9 crashes when it prints the details of a key in TLS 1.2. */
        if (!c->key || strcmp(c->version, "TLSv1.2") != 0)
            listen_to(&p, tls);
    } else {
        check_failed(c, rc, &err);
    }
    channel_free(tls);
    stop(&p);
    close(listening);
    tls_creds_free(creds);
}

static void meets_its_client(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        meet_client(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meets_its_server),
        cmocka_unit_test(meets_its_client),
    };

    signal(SIGPIPE, SIG_IGN);
    if (!is_installed("gnutls-serv") || !is_installed("gnutls-cli"))
        skip_all("no gnutls-serv and gnutls-cli (package gnutls-bin)");
    tls_files();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
