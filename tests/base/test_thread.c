#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#include "tests/support/test.h"

/* What a thread has found out about itself. */
struct found {
    char name[THREAD_NAME_LEN];
    sigset_t blocked;
    sem_t *done;
};

static void look(struct found *f)
{
    pthread_getname_np(pthread_self(), f->name, sizeof(f->name));
    pthread_sigmask(SIG_SETMASK, NULL, &f->blocked);
}

static void *look_main(void *arg)
{
    look(arg);
    return NULL;
}

static const struct name_case {
    const char *label, *text;
    unsigned number;
    const char *name;
} name_cases[] = {
    {"a name", "accept", 0, "rj-accept"},
    {"a number", "send-%u", 7, "rj-send-7"},
    {"all that fits", "populate-%u", 9999, "rj-populate-999"},
    {"an empty one", "", 0, "rj-"},
};

static void has_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(name_cases); i++) {
        const struct name_case *c = &name_cases[i];
        struct found f = {0};
        struct thread t;
        struct error err;

        OK(thread_start(&t, look_main, &f, &err, c->text, c->number), err, c->label);
        CHECK(t.running, "%s: it is not running", c->label);
        thread_join(&t);
        CHECK(!t.running, "%s: it is still running", c->label);
        CHECK(strcmp(f.name, c->name) == 0, "%s: '%s'", c->label, f.name);
    }
}

static void takes_no_signal_of_the_process(void **state)
{
    static const int open[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGKILL, SIGSTOP};
    sigset_t before, after;
    struct found f;
    struct thread t;
    struct error err;

    (void)state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    OK(thread_start(&t, look_main, &f, &err, "mask"), err, "start");
    thread_join(&t);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int number = 1; number <= SIGRTMAX; number++) {
        bool is_open = number == 32 || number == 33; /* the C library's own signals */

        for (size_t i = 0; i < ARRAY_LEN(open); i++)
            is_open |= number == open[i];
        CHECK(sigismember(&f.blocked, number) == !is_open, "signal %d: %s", number,
              is_open ? "blocked" : "open");
        CHECK(sigismember(&before, number) == sigismember(&after, number),
              "signal %d of the thread that starts another", number);
    }
}

static void *rename_main(void *arg)
{
    thread_rename("recv-%u", 3);
    look(arg);
    return NULL;
}

static void takes_another_name(void **state)
{
    struct found f;
    struct thread t;
    struct error err;

    (void)state;
    OK(thread_start(&t, rename_main, &f, &err, "greet-%u", 12), err, "start");
    thread_join(&t);
    assert_string_equal(f.name, "rj-recv-3");
}

/* Like the thread of a connection: it frees what it was started with. */
struct detached {
    struct thread thread;
    struct found *found;
};

static void *detached_main(void *arg)
{
    struct detached *d = arg;
    struct found *f = d->found;

    free(d);
    look(f);
    sem_post(f->done);
    return NULL;
}

static void nobody_joins_it(void **state)
{
    struct detached *d = malloc(sizeof(*d));
    sem_t done;
    struct found f = {.done = &done};
    struct error err;

    (void)state;
    assert_non_null(d);
    sem_init(&done, 0, 0);
    d->found = &f;
    OK(thread_start_detached(&d->thread, detached_main, d, &err, "lookup"), err, "start");
    while (sem_wait(&done) < 0)
        ;
    sem_destroy(&done);
    assert_string_equal(f.name, "rj-lookup");
}

static void joins_only_what_runs(void **state)
{
    struct thread t = {0};

    (void)state;
    thread_join(&t);
    thread_join(&t);
}

/* No address space has room for such a stack: the system also answers EAGAIN. */
static void set_stack(size_t bytes, size_t *ret_before)
{
    pthread_attr_t attr;

    assert_int_equal(pthread_getattr_default_np(&attr), 0);
    if (ret_before)
        pthread_attr_getstacksize(&attr, ret_before);
    assert_int_equal(pthread_attr_setstacksize(&attr, bytes), 0);
    assert_int_equal(pthread_setattr_default_np(&attr), 0);
    pthread_attr_destroy(&attr);
}

static void tells_the_limit(void **state)
{
    static const char *const parts[] = {
        "thread rj-send-3: cannot be started: ", "Resource temporarily unavailable", "RLIMIT_NPROC",
        "ulimit -u"};
    struct found f;
    struct thread t, detached;
    struct error err, detached_err;
    size_t before;

    (void)state;
    set_stack((size_t)1 << 47, &before);
    int rc = thread_start(&t, look_main, &f, &err, "send-%u", 3);
    int detached_rc = thread_start_detached(&detached, look_main, &f, &detached_err, "send-%u", 3);
    set_stack(before, NULL);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        check_refused("one to join", rc, &err, ERR_SYSTEM, parts[i]);
        check_refused("one on its own", detached_rc, &detached_err, ERR_SYSTEM, parts[i]);
    }
    assert_int_equal(err.sys, EAGAIN);
    CHECK(!t.running, "it runs");
    thread_join(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_its_name),         cmocka_unit_test(takes_no_signal_of_the_process),
        cmocka_unit_test(takes_another_name),   cmocka_unit_test(nobody_joins_it),
        cmocka_unit_test(joins_only_what_runs), cmocka_unit_test(tells_the_limit),
    };

    return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
