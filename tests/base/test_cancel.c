#include "base/cancel.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/test.h"

struct world {
    struct cancel cancel;
    int pipe[2];
};

static int setup(void **state)
{
    static struct world w;
    struct error err;

    *state = &w;
    return cancel_init(&w.cancel, &err) < 0 || pipe(w.pipe) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    cancel_done(&w->cancel);
    close(w->pipe[0]);
    close(w->pipe[1]);
    return 0;
}

static void stays_requested(void **state)
{
    struct world *w = *state;

    CHECK(!cancel_requested(&w->cancel), "before anyone asked");
    for (int i = 0; i < 3; i++) {
        cancel_request(&w->cancel);
        CHECK(cancel_requested(&w->cancel), "request %d", i);
        CHECK(cancel_requested(&w->cancel), "request %d, asked again", i);
    }
}

static void is_ready(void **state)
{
    struct world *w = *state;
    struct error err;

    CHECK(write(w->pipe[1], "x", 1) == 1, "pipe");
    OK(cancel_poll(&w->cancel, w->pipe[0], POLLIN, DEADLINE_NEVER, &err), err, "ready");
}

static void gives_up_at_the_deadline(void **state)
{
    struct world *w = *state;
    struct error err;

    check_refused("deadline behind us", cancel_poll(&w->cancel, w->pipe[0], POLLIN, 1, &err), &err,
                  ERR_SYSTEM, "gave up waiting");
    assert_int_equal(err.sys, ETIMEDOUT);
    check_refused("deadline ahead",
                  cancel_poll(&w->cancel, w->pipe[0], POLLIN, deadline_in_ms(5), &err), &err,
                  ERR_SYSTEM, "gave up waiting");
}

static void request_goes_first(void **state)
{
    struct world *w = *state;
    struct error err;

    CHECK(write(w->pipe[1], "x", 1) == 1, "pipe");
    cancel_request(&w->cancel);
    check_refused("ready and cancelled",
                  cancel_poll(&w->cancel, w->pipe[0], POLLIN, DEADLINE_NEVER, &err), &err,
                  ERR_CANCELLED, "cancelled");
}

static void *ask(void *arg)
{
    cancel_request(arg);
    return NULL;
}

static void wakes_a_waiter(void **state)
{
    struct world *w = *state;
    struct error err;
    pthread_t thread;

    pthread_create(&thread, NULL, ask, &w->cancel);
    int rc = cancel_poll(&w->cancel, w->pipe[0], POLLIN, DEADLINE_NEVER, &err);
    pthread_join(thread, NULL);
    check_refused("from another thread", rc, &err, ERR_CANCELLED, "cancelled");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stays_requested),    TEST(is_ready),       TEST(gives_up_at_the_deadline),
        TEST(request_goes_first), TEST(wakes_a_waiter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
