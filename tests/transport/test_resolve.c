/* Name look-ups with a library that answers when the test decides: in time, too late, or never. */
#include "transport/resolve.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "tests/support/test.h"

/* --- the library's two functions, replaced ---------------------------------------------------- */

static sem_t asked, answer; /* a look-up has begun; it may be answered now */
static int answer_rc;
static atomic_int n_lists, n_freed, n_threads; /* look-ups on threads that are not the caller's */
static pthread_t caller;

struct list {
    struct addrinfo ai;
    struct sockaddr_in sa;
};

static int a_list(struct addrinfo **ret)
{
    struct list *l = calloc(1, sizeof(*l));

    CHECK(l, "memory");
    l->sa.sin_family = AF_INET;
    l->ai.ai_family = AF_INET;
    l->ai.ai_addr = (struct sockaddr *)&l->sa;
    l->ai.ai_addrlen = sizeof(l->sa);
    *ret = &l->ai;
    n_lists++;
    return 0;
}

static bool is_number(const char *text)
{
    return !text || text[strspn(text, "0123456789.:")] == 0;
}

/* No signal of the program may be delivered to a look-up's thread. */
static void check_thread(void)
{
    sigset_t blocked;

    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    CHECK(sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGTERM) &&
              sigismember(&blocked, SIGHUP) && sigismember(&blocked, SIGUSR1),
          "signals come to a look-up");
    n_threads++;
}

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    bool number = is_number(host) || hints->ai_flags & AI_NUMERICHOST;

    if (number && (is_number(port) || !(hints->ai_flags & AI_NUMERICSERV)))
        return is_number(host) ? a_list(ret) : EAI_NONAME;
    if (hints->ai_flags & AI_NUMERICSERV)
        return EAI_NONAME;
    CHECK(!pthread_equal(pthread_self(), caller), "a name is looked up on the caller's thread");
    check_thread();
    sem_post(&asked);
    while (sem_wait(&answer) < 0)
        ;
    errno = EIO;
    return answer_rc ? answer_rc : a_list(ret);
}

void freeaddrinfo(struct addrinfo *ai)
{
    n_freed++;
    free(ai);
}

/* --- tests ----------------------------------------------------------------------------------- */

static int look_up(const char *text, uint64_t deadline, const struct cancel *cancel,
                   struct error *err)
{
    struct addrinfo *list = NULL;
    struct address a;

    OK(address_parse(text, &a, err), *err, text);
    int rc = resolve(&a, 0, deadline, cancel, &list, err);
    CHECK((rc == 0) == (list != NULL), "%s: a list and an error", text);
    if (list)
        freeaddrinfo(list);
    return rc;
}

static int setup(void **state)
{
    (void)state;
    caller = pthread_self();
    answer_rc = 0;
    n_lists = n_freed = n_threads = 0;
    return sem_init(&asked, 0, 0) < 0 || sem_init(&answer, 0, 0) < 0;
}

/* Waits for the memory: a look-up that its caller has given up frees its own. */
static void all_freed(void)
{
    while (n_freed < n_lists)
        sched_yield(); /* the test's own time limit ends it */
    assert_int_equal(n_freed, n_lists);
}

static const struct cancel never = {.fd = -1};

static void numbers_need_no_thread(void **state)
{
    static const char *const numbers[] = {"tcp:127.0.0.1:1", "tcp:[::1]:65535", "tcp::0"};
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        OK(look_up(numbers[i], DEADLINE_NEVER, &never, &err), err, numbers[i]);
    assert_int_equal(n_threads, 0);
    check_refused("an interface", look_up("tcp:[fe80::1%no]:1", DEADLINE_NEVER, &never, &err), &err,
                  ERR_SYSTEM, "there is no interface 'no' here");
    assert_int_equal(n_threads, 0);
    all_freed();
}

static void answers(void **state)
{
    static const struct {
        const char *label;
        int rc;
        const char *says; /* NULL: the name is found */
    } cases[] = {{"found", 0, NULL},
                 {"no such name", EAI_NONAME, "look up tcp:name.test:1: "},
                 {"the system's", EAI_SYSTEM, "look up tcp:name.test:1: Input/output error"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err;

        answer_rc = cases[i].rc;
        sem_post(&answer);
        int rc = look_up("tcp:name.test:1", DEADLINE_NEVER, &never, &err);
        if (cases[i].says)
            check_refused(cases[i].label, rc, &err, ERR_SYSTEM, cases[i].says);
        else
            OK(rc, err, cases[i].label);
    }
    assert_int_equal(n_threads, ARRAY_LEN(cases));
    all_freed();
}

/* The answer comes after the caller has given up. */
static void answer_too_late(void **state)
{
    struct error err;

    (void)state;
    for (int i = 0; i < 100; i++) {
        int rc = look_up("tcp:name.test:1", clock_ns() + 1, &never, &err);

        check_refused("too late", rc, &err, ERR_SYSTEM, "look up tcp:name.test:1: gave up");
        assert_int_equal(err.sys, ETIMEDOUT);
        sem_wait(&asked);
        sem_post(&answer);
        while (n_lists == i)
            sched_yield();
    }
    all_freed();
}

static void *cancel_when_asked(void *arg)
{
    sem_wait(&asked);
    cancel_request(arg);
    return NULL;
}

static void cancelled_under_way(void **state)
{
    struct cancel cancel;
    struct error err;
    pthread_t thread;

    (void)state;
    OK(cancel_init(&cancel, &err), err, "cancel");
    assert_int_equal(pthread_create(&thread, NULL, cancel_when_asked, &cancel), 0);
    int rc = look_up("tcp:name.test:1", DEADLINE_NEVER, &cancel, &err);
    check_refused("cancelled", rc, &err, ERR_CANCELLED, "look up tcp:name.test:1: cancelled");
    pthread_join(thread, NULL);
    cancel_done(&cancel);
    sem_post(&answer);
    while (n_lists < 1)
        sched_yield();
    all_freed();
}

/* The number of look-ups that were given up is limited; after their answers there is room again. */
static void too_many(void **state)
{
    struct error err;

    (void)state;
    for (int i = 0; i < 64; i++) {
        check_refused("left", look_up("tcp:name.test:1", clock_ns() + 1, &never, &err), &err,
                      ERR_SYSTEM, "gave up");
        sem_wait(&asked);
    }
    check_refused("one more", look_up("tcp:name.test:1", DEADLINE_NEVER, &never, &err), &err,
                  ERR_SYSTEM, "look up tcp:name.test:1: 64 look-ups of names are under way");
    OK(look_up("tcp:127.0.0.1:1", DEADLINE_NEVER, &never, &err), err, "a number");
    for (int i = 0; i < 64; i++)
        sem_post(&answer);
    while (n_lists < 64 + 1)
        sched_yield();
    all_freed();
    sem_post(&answer);
    OK(look_up("tcp:name.test:1", DEADLINE_NEVER, &never, &err), err, "again");
    all_freed();
}

/* The last test: its look-up is still running when the process ends. */
static void answer_never(void **state)
{
    struct error err;

    (void)state;
    int rc = look_up("tcp:name.test:1", clock_ns() + 1, &never, &err);
    check_refused("never", rc, &err, ERR_SYSTEM, "gave up");
    sem_wait(&asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(numbers_need_no_thread, setup),
        cmocka_unit_test_setup(answers, setup),
        cmocka_unit_test_setup(answer_too_late, setup),
        cmocka_unit_test_setup(cancelled_under_way, setup),
        cmocka_unit_test_setup(too_many, setup),
        cmocka_unit_test_setup(answer_never, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
