#include "tests/support/move.h"

#include <pthread.h>

#include "capture/target.h"
#include "migration/destination.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

struct arrival {
    struct destination *in;
    int rc;
    struct error err;
};

static void *run_incoming(void *arg)
{
    struct arrival *a = arg;

    a->rc = destination_run(a->in, &a->err);
    return NULL;
}

static void connect_of(struct connect_config *ret)
{
    char path[PATH_MAX], address[PATH_MAX + 8];
    struct error err;

    snprintf(address, sizeof(address), "unix:%s", temp_path(path, "move"));
    OK(address_parse(address, &ret->address, &err), err, "address");
    OK(engine_find("auto", &ret->engine, &err), err, "engine");
    ret->connect_timeout_ms = ret->stall_timeout_ms = HANG_MS;
}

void move_to_target(const struct move *move, struct machine *from, struct target *to)
{
    struct destination_config in = {.n_channels = -1, .method = -1};
    struct source_config config = move->config;
    struct arrival arrival = {0};
    struct source *out;
    pthread_t thread;
    struct error err;

    connect_of(&config.connect);
    in.connect = config.connect;
    in.connect.tls = move->server;
    in.capabilities = config.ram.ignore_shared ? STREAM_CAP_X_IGNORE_SHARED : 0;
    config.connect.tls = move->client;
    OK(destination_new(&in, to, &arrival.in, &err), err, move->label);
    OK(destination_listen(arrival.in, &err), err, move->label);
    assert_int_equal(pthread_create(&thread, NULL, run_incoming, &arrival), 0);
    OK(source_new(&config, from, &out, &err), err, move->label);
    int rc = source_run(out, &err);
    pthread_join(thread, NULL);
    OK(arrival.rc, arrival.err, move->label);
    OK(rc, err, move->label);
    source_free(out);
    destination_free(arrival.in);
}

int move_file_to_target(const char *path, bool direct_io, struct target *to, struct error *err)
{
    struct destination_config in = {.n_channels = -1,
                                    .method = -1,
                                    .open_capabilities = STREAM_CAP_MAPPED_RAM,
                                    .file_threads = 2,
                                    .direct_io = direct_io,
                                    .checksums = true};
    char address[PATH_MAX + 8];
    struct destination *m;

    snprintf(address, sizeof(address), "file:%s", path);
    OK(address_parse(address, &in.connect.address, err), *err, "address");
    OK(engine_find("auto", &in.connect.engine, err), *err, "engine");
    if (destination_new(&in, to, &m, err) < 0)
        return -1;
    int rc = destination_run(m, err);
    destination_free(m);
    return rc;
}

int move_from_file(const char *path, struct machine *to, struct error *err)
{
    struct target *target;

    OK(target_machine_new(to, &(struct ram_set_rules){0}, &target, err), *err, "target");
    int rc = move_file_to_target(path, false, target, err);
    target_free(target);
    return rc;
}

void move_machine(const struct move *move, struct machine *from, struct machine *to)
{
    struct target *target;
    struct error err;

    OK(target_machine_new(to, &(struct ram_set_rules){0}, &target, &err), err, move->label);
    move_to_target(move, from, target);
    target_free(target);
}
