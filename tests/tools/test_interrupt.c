#include "tools/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/support/test.h"

struct heard {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n;
};

static void on_signal(void *arg)
{
    struct heard *h = arg;

    pthread_mutex_lock(&h->lock);
    h->n++;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static void count(void *arg)
{
    unsigned *n = arg;

    ++*n;
}

/* A pending signal is handled at once, and SIGUSR1 asks for the state, if there is one to tell.
 * Then the watch ends. */
static void watch_once(struct heard *h, bool tells)
{
    struct error err;
    unsigned asked = 0;

    h->n = 0;
    if (tells)
        interrupt_tell(count, &asked);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGTERM);
    OK(interrupt_start(on_signal, h, &err), err, "start");
    pthread_mutex_lock(&h->lock);
    while (!h->n)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
    interrupt_stop();
    CHECK(h->n == 1, "heard %u times", h->n);
    CHECK(asked == tells, "asked %u times", asked);
}

/* Also at the user's limit of pending signals, where the kernel drops the sender's identity. */
static void it_ends(void **state)
{
    struct heard h = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct rlimit before, none;

    (void)state;
    interrupt_block();
    watch_once(&h, true);
    assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &none), 0);
    watch_once(&h, false);
    assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_ends)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
