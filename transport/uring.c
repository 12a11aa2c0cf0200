#include "transport/uring.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>

#include "base/clock.h"

#define CQ_ENTRIES 256 /* notifications may come late, and many at once */
#define NO_RESULT  INT_MIN

/* User data: the operation's number in the run, and the loan's number, from 1 on; 0: no loan. */
#define CANCEL     URING_OPS_MAX
#define OP_MASK    0xffU
#define LOAN_SHIFT 8

/*
 * A new ring may be mapped where another thread's ring was. liburing maps and unmaps with its own
 * system calls, which race detectors do not see. This counter tells them that the old ring's end
 * comes before the new ring's start.
 */
static atomic_uint rings_made_or_gone;

static void order_rings(void)
{
    atomic_fetch_add_explicit(&rings_made_or_gone, 1, memory_order_acq_rel);
}

/* If we may create a ring but not use it, we would wait for ever: one empty operation tells. */
static int try_ring(struct uring *u)
{
    struct io_uring_cqe *cqe;

    io_uring_prep_nop(io_uring_get_sqe(&u->ring));
    int rc = io_uring_submit_and_wait(&u->ring, 1);
    if (rc < 0)
        return rc;
    rc = io_uring_peek_cqe(&u->ring, &cqe);
    if (rc < 0)
        return rc;
    io_uring_cqe_seen(&u->ring, cqe);
    return 0;
}

int uring_init(struct uring *u, struct zero_copy *zero_copy)
{
    /* The kernel need not interrupt us for a completion: we wait for it in the kernel anyway. */
    struct io_uring_params params = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN,
        .cq_entries = CQ_ENTRIES,
    };
    int rc = io_uring_queue_init_params(2 * URING_OPS_MAX, &u->ring, &params);

    if (rc == -EINVAL) { /* before 5.19 */
        params = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE, .cq_entries = CQ_ENTRIES};
        rc = io_uring_queue_init_params(2 * URING_OPS_MAX, &u->ring, &params);
    }
    if (rc < 0)
        return rc;
    order_rings();
    u->open = true;
    u->zero_copy = zero_copy;
    return params.features & IORING_FEAT_EXT_ARG ? try_ring(u) : -ENOSYS;
}

void uring_done(struct uring *u)
{
    if (u->open) {
        order_rings();
        io_uring_queue_exit(&u->ring);
    }
    u->open = false;
}

static struct io_uring_sqe *op_with_data(struct uring *u, uint64_t data)
{
    assert(u->queued < URING_OPS_MAX);
    u->results[u->queued] = NO_RESULT;
    u->data[u->queued] = data | u->queued;
    /* There is room: the last run has submitted all of its operations. */
    return u->ops[u->queued++] = u->broken ? &u->spare : io_uring_get_sqe(&u->ring);
}

struct io_uring_sqe *uring_op(struct uring *u)
{
    return op_with_data(u, 0);
}

bool uring_may_lend(const struct uring *u)
{
    return u->loans_taken != UINT64_MAX;
}

struct io_uring_sqe *uring_op_lending(struct uring *u)
{
    unsigned loan = (unsigned)__builtin_ctzll(~u->loans_taken);
    u->loans_taken |= UINT64_C(1) << loan;
    return op_with_data(u, (loan + 1) << LOAN_SHIFT);
}

/* The bit of the loan; 0 for an operation that does not lend. */
static uint64_t loan_of(const struct io_uring_cqe *cqe)
{
    uint64_t loan = cqe->user_data >> LOAN_SHIFT;

    return loan ? UINT64_C(1) << (loan - 1) : 0;
}

static void take_notification(struct uring *u, const struct io_uring_cqe *cqe)
{
    uint64_t loan = loan_of(cqe);

    u->loans_taken &= ~loan;
    if (!(u->loans_counted & loan))
        return;
    u->loans_counted &= ~loan;
    u->zero_copy->lent--;
    if ((unsigned)cqe->res & IORING_NOTIF_USAGE_ZC_COPIED)
        u->zero_copy->copied++;
}

/*
 * A send that lends first has a result. Its MORE flag announces a notification, which says that the
 * memory is ours again. A send that was cancelled with its link gets the notification without the
 * announcement: it is not counted, but keeps its bit until then.
 */
static void take_result(struct uring *u, const struct io_uring_cqe *cqe)
{
    unsigned op = (unsigned)cqe->user_data & OP_MASK;

    u->pending--;
    if (op != CANCEL)
        u->results[op] = cqe->res;
    if (!(cqe->flags & IORING_CQE_F_MORE) || !(u->loans_taken & loan_of(cqe)))
        return;
    u->loans_counted |= loan_of(cqe);
    u->zero_copy->lent++;
}

static void take_all(struct uring *u)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;

    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        if (cqe->flags & IORING_CQE_F_NOTIF)
            take_notification(u, cqe);
        else
            take_result(u, cqe);
        n++;
    }
    io_uring_cq_advance(&u->ring, n);
}

/* Whether nothing is lost and a later call may succeed. */
static bool passes(int rc)
{
    return rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY;
}

/* Submits what is not submitted yet; waits for `n` completions of any kind, or the deadline. */
static void await(struct uring *u, unsigned n, uint64_t deadline)
{
    struct io_uring_cqe *first;
    uint64_t now = clock_ns(), left = deadline > now ? deadline - now : 0;
    struct __kernel_timespec timeout = {
        .tv_sec = (long long)(left / NS_PER_S),
        .tv_nsec = (long long)(left % NS_PER_S),
    };
    int rc = io_uring_submit_and_wait_timeout(&u->ring, &first, n, &timeout, NULL);

    if (!passes(rc))
        u->broken = rc;
    take_all(u);
}

/* A broken ring yields no more results; operations under way end when the ring is closed. */
static void refuse_rest(struct uring *u, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (u->results[i] == NO_RESULT)
            u->results[i] = u->broken;
    }
    u->pending = 0;
}

/* The cancel of a finished operation fails with ENOENT. Operations linked after a cancelled one are
 * cancelled with it. */
static void cancel_all(struct uring *u, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (u->results[i] != NO_RESULT)
            continue;
        struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

        io_uring_prep_cancel64(sqe, u->data[i], 0);
        io_uring_sqe_set_data64(sqe, CANCEL);
        u->pending++;
    }
}

void uring_run(struct uring *u, unsigned timeout_ms)
{
    uint64_t deadline = clock_ns() + timeout_ms * NS_PER_MS;
    unsigned n = u->queued;

    for (unsigned i = 0; i < n; i++)
        io_uring_sqe_set_data64(u->ops[i], u->data[i]);
    u->queued = 0;
    u->pending = n;
    while (u->pending > 0 && !u->broken) {
        await(u, u->pending, deadline);
        if (u->pending > 0 && !u->broken && clock_ns() >= deadline) {
            cancel_all(u, n);
            deadline = DEADLINE_NEVER;
        }
    }
    if (u->broken)
        refuse_rest(u, n);
}

int uring_await_returned(struct uring *u, int fd, int timeout_ms)
{
    /* No event of the socket is requested: POLLHUP, which an interrupt causes, comes anyway. */
    struct pollfd p[] = {{.fd = fd}, {.fd = u->ring.ring_fd, .events = POLLIN}};
    uint32_t before = u->zero_copy->lent;

    if (u->broken) {
        errno = -u->broken;
        return -1;
    }
    if (poll(p, ARRAY_LEN(p), timeout_ms) < 0)
        return -1;
    take_all(u);
    int n = (int)(before - u->zero_copy->lent);
    if (n > 0)
        return n;
    errno = p[0].revents ? zero_copy_why_gone(fd) : EAGAIN;
    return -1;
}

static bool knows_send_zc(struct uring *u)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(&u->ring);
    bool known = probe && io_uring_opcode_supported(probe, IORING_OP_SENDMSG_ZC);

    io_uring_free_probe(probe);
    return known;
}

/*
 * A kernel that does not know the flag fails with EINVAL before it looks at the descriptor. We need
 * the flag: without it, notifications do not say whether the kernel copied after all.
 */
bool uring_can_lend(void)
{
    struct zero_copy none = {0};
    struct uring u = {0};
    bool can = false;

    if (uring_init(&u, &none) == 0 && knows_send_zc(&u)) {
        io_uring_prep_send_zc(uring_op_lending(&u), -1, "", 1, 0, IORING_SEND_ZC_REPORT_USAGE);
        uring_run(&u, 1000);
        can = u.results[0] == -EBADF;
    }
    uring_done(&u);
    return can;
}
