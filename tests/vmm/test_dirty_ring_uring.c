/*
 * A thread that syncs may have an io_uring, as the migration's thread does: its completions
 * interrupt like a signal. The other tests of dirty rings are in test_dirty_ring.c.
 */
#include "vmm/dirty_ring.h"

#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/support/dirty_guest.h"
#include "tests/support/dirty_trial.h"
#include "tests/support/test.h"
#include "vmm/guest_memory.h"

#define MEMORY     (UINT64_C(32) << 20)
#define WORK       (GUEST_WORK / RAM_PAGE_SIZE)
#define WORK_PAGES (MEMORY / RAM_PAGE_SIZE - WORK)

static const struct dirty_guest_config two_large_rings = {MEMORY, WORK, WORK_PAGES, 2,
                                                          DIRTY_RING_MAX};

struct news {
    struct dirty_guest *g;
    struct io_uring ring;
    int fd;
    pthread_t thread;
    atomic_bool stop;
};

static void *tell(void *arg)
{
    struct news *n = arg;

    while (!atomic_load(&n->stop)) {
        CHECK(eventfd_write(n->fd, 1) == 0, "eventfd");
        sched_yield();
    }
    return NULL;
}

static void ask(struct news *n)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&n->ring);

    io_uring_prep_poll_multishot(sqe, n->fd, POLLIN);
    CHECK(io_uring_submit(&n->ring) == 1, "io_uring");
}

/* Takes all completions, and polls again where one ended the poll. */
static void read_news(void *arg)
{
    struct news *n = arg;
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&n->ring, &cqe) == 0) {
        bool more = cqe->flags & IORING_CQE_F_MORE;

        io_uring_cqe_seen(&n->ring, cqe);
        if (!more)
            ask(n);
    }
    dirty_guest_progress(n->g);
}

static void settle_guest(void *arg)
{
    dirty_guest_settle(((struct news *)arg)->g);
}

static void loses_no_write_to_news(void **state)
{
    struct dirty_guest g;
    struct news n = {.g = &g, .fd = eventfd(0, EFD_NONBLOCK)};

    (void)state;
    CHECK(n.fd >= 0, "eventfd");
    if (io_uring_queue_init(64, &n.ring, IORING_SETUP_COOP_TASKRUN) < 0) {
        close(n.fd);
        print_message("skipped: no io_uring here\n");
        skip();
    }
    dirty_guest_start(&two_large_rings, &g);
    dirty_guest_run(&g);
    ask(&n);
    CHECK(pthread_create(&n.thread, NULL, tell, &n) == 0, "thread");
    dirty_trial_run(&(struct dirty_trial){
        .label = "told all the time",
        .source = g.ring,
        .map = &g.map,
        .rounds = is_in_lab() ? 5 : 20, /* each costs as much as four there */
        .progress = read_news,
        .settle = settle_guest,
        .arg = &n,
    });
    atomic_store(&n.stop, true);
    pthread_join(n.thread, NULL);
    dirty_guest_end(&g);
    io_uring_queue_exit(&n.ring);
    close(n.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loses_no_write_to_news),
    };
    struct error err;

    if (dirty_ring_usable(&err) < 0)
        skip_all(err.text);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
