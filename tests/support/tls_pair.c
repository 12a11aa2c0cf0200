#include "tests/support/tls_pair.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "tests/support/certs.h"
#include "tests/support/test.h"
#include "transport/engine.h"

void tcp_pair(int ret[static 2])
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    AUTO_FD int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(bind(listening, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(listening, 1) == 0 &&
              getsockname(listening, (struct sockaddr *)&sa, &len) == 0,
          "listen");
    ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(ret[0], (struct sockaddr *)&sa, sizeof(sa)) == 0, "connect");
    ret[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    CHECK(ret[1] >= 0, "accept");
}

struct channel *channel_of_fd(int fd, uint64_t stall_timeout_ms)
{
    struct engine_config config = {.stall_timeout_ms = stall_timeout_ms};
    const struct engine *engine;
    struct channel *c;
    struct error err;

    OK(engine_find("socket", &engine, &err), err, "channel_of_fd");
    OK(engine->open(fd, &config, &c, &err), err, "channel_of_fd");
    return c;
}

struct channel *fast_channel(int fd, uint64_t stall_timeout_ms)
{
    struct timeval tick = {.tv_usec = 1000};
    struct channel *c = channel_of_fd(fd, stall_timeout_ms);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof(tick));
    return c;
}

static void *shake(void *arg)
{
    struct tls_end *e = arg;

    e->c = NULL;
    e->rc = tls_channel_new(e->below, e->creds, deadline_in_ms(HANG_MS), &e->c, &e->err);
    if (e->rc < 0) {
        e->heard = atomic_load(&e->below->bytes_received);
        channel_free(e->below);
    }
    e->below = NULL;
    return NULL;
}

void tls_shake(struct tls_end *client, struct tls_end *server)
{
    pthread_t thread;

    pthread_create(&thread, NULL, shake, server);
    shake(client);
    pthread_join(thread, NULL);
}

void tls_pair(const struct tls_creds *client, const struct tls_creds *server,
              struct channel *ret[static 2])
{
    struct tls_end ends[2] = {{.creds = client}, {.creds = server}};
    int fds[2];

    tcp_pair(fds);
    for (int i = 0; i < 2; i++)
        ends[i].below = channel_of_fd(fds[i], HANG_MS);
    tls_shake(&ends[0], &ends[1]);
    OK(ends[0].rc, ends[0].err, "client");
    OK(ends[1].rc, ends[1].err, "server");
    ret[0] = ends[0].c;
    ret[1] = ends[1].c;
}

/* --- credentials ------------------------------------------------------------------------------ */

static void write_text(const char *name, const char *text)
{
    char path[PATH_MAX];

    file_write(temp_path(path, name), text, strlen(text));
}

void tls_files(void)
{
    static const struct cert_spec server = {
        .dn = "O=x,CN=server", .san = "DNS:host.example,IP:127.0.0.1", .usage = "serverAuth"};
    static const struct cert_spec client = {.dn = "C=GB,O=x,CN=client", .usage = "clientAuth"};
    static const struct cert_spec revoked = {
        .dn = "O=x,CN=gone", .san = "DNS:host.example", .serial = 66};
    static const struct cert_spec old = {
        .dn = "CN=old", .san = "DNS:host.example", .from_days = -9, .days = 2};
    static const struct cert_spec crafty = {.dn = "O=a+CN=admin", .usage = "clientAuth"};
    static char many_parts[5000] = "O=x";
    static const struct cert_spec endless = {.dn = many_parts, .usage = "clientAuth"};
    static const struct cert_spec by_name = {.dn = "CN=by name", .san = "DNS:127.0.0.1"};
    static const struct cert_spec nameless = {.dn = "CN=127.0.0.1"};
    static const char *const dirs[] = {"good", "nobody", "strict",  "gone",
                                       "old",  "crafty", "endless", "lax"};
    static struct authority *ours, *other, *past, *weak;
    char path[PATH_MAX];

    while (strlen(many_parts) < sizeof(many_parts) - 64)
        strcat(many_parts, ",OU=0123456789abcdef0123456789abcdef0123456789abcdef");
    ours = authority_new("our authority");
    other = authority_new("another authority");
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
        authority_install(ours, temp_path(path, dirs[i]));
    cert_install(ours, &server, temp_path(path, "good"), "server");
    cert_install(ours, &client, temp_path(path, "good"), "client");
    cert_install(ours, &server, temp_path(path, "strict"), "server");
    cert_install(ours, &client, temp_path(path, "strict"), "client");
    revocation_install(ours, 66, temp_path(path, "strict"));
    cert_install(ours, &revoked, temp_path(path, "gone"), "client");
    cert_install(ours, &revoked, temp_path(path, "gone"), "server");
    cert_install(ours, &old, temp_path(path, "old"), "client");
    cert_install(ours, &old, temp_path(path, "old"), "server");
    cert_install(ours, &crafty, temp_path(path, "crafty"), "client");
    cert_install(ours, &endless, temp_path(path, "endless"), "client");
    past = authority_make(
        &(struct authority_spec){.common_name = "past authority", .from_days = -9, .days = 2});
    weak =
        authority_make(&(struct authority_spec){.common_name = "weak authority", .rsa_bits = 512});
    authority_add(past, temp_path(path, "lax"));
    authority_add(weak, temp_path(path, "lax"));
    cert_install(ours, &server, temp_path(path, "lax"), "server");
    cert_install(ours, &client, temp_path(path, "lax"), "client");
    cert_install(past, &server, temp_path(path, "past"), "server");
    cert_install(past, &client, temp_path(path, "past"), "client");
    cert_install(weak, &server, temp_path(path, "weak"), "server");
    cert_install(ours, &by_name, temp_path(path, "by-name"), "server");
    cert_install(ours, &nameless, temp_path(path, "nameless"), "server");
    authority_install(other, temp_path(path, "other"));
    cert_install(other, &server, temp_path(path, "other"), "server");
    cert_install(other, &client, temp_path(path, "other"), "client");
    write_text("keys.psk", "# all\nqemu:00112233445566778899aabbccddeeff\nal:abcd\n");
    write_text("wrong.psk", "qemu:00112233445566778899aabbccddee00\n");
    write_text("bob.psk", "bob:00112233445566778899aabbccddeeff\n");
}

struct tls_creds *tls_creds_named(struct tls_config config)
{
    char dir[PATH_MAX], psk_file[PATH_MAX];
    struct tls_creds *creds;
    struct error err;

    if (config.dir)
        config.dir = temp_path(dir, config.dir);
    if (config.psk_file)
        config.psk_file = temp_path(psk_file, config.psk_file);
    OK(tls_creds_new(&config, &creds, &err), err, config.dir ? config.dir : config.psk_file);
    return creds;
}
