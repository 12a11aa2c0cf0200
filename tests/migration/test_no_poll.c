/* poll(2) fails every time: a thread that waits in it ends, with the reason. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>

#include "capture/target.h"
#include "migration/destination.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

static atomic_uint calls;

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    (void)fds;
    (void)n;
    (void)timeout_ms;
    atomic_fetch_add(&calls, 1);
    errno = ENOMEM;
    return -1;
}

static void a_receiver_ends(void **state)
{
    struct destination_config config = {.n_channels = -1, .method = -1};
    char path[PATH_MAX], address[PATH_MAX + 8];
    struct target *target;
    struct destination *m;
    struct error err;

    (void)state;
    snprintf(address, sizeof(address), "unix:%s", temp_path(path, "incoming"));
    OK(address_parse(address, &config.connect.address, &err), err, address);
    OK(engine_find("auto", &config.connect.engine, &err), err, "engine");
    OK(target_null_new(&target, &err), err, "target");
    OK(destination_new(&config, target, &m, &err), err, "listen");
    check_refused("poll", destination_run(m, &err), &err, ERR_SYSTEM, "wait for connections");
    CHECK(strstr(err.text, "memory"), "%s", err.text);
    CHECK(calls < 10, "poll was called %u times", calls);
    destination_free(m);
    target_free(target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_receiver_ends)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
