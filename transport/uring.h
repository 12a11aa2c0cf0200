/*
 * transport/uring.h: an io_uring on which a few operations are handed in at once and awaited
 * together. When uring_run() returns none of them is under way any more; what stays behind is only
 * memory lent by SEND_ZC, and its notifications are counted in a struct zero_copy.
 *
 * For one thread at a time, not always the same one: so no SINGLE_ISSUER, no DEFER_TASKRUN.
 */
#pragma once

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>

#include "transport/zero_copy.h"

/* What older headers do not have. */
#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)
#endif
#ifndef IORING_NOTIF_USAGE_ZC_COPIED
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

#define URING_OPS_MAX 4 /* of one uring_run() */

struct uring {
    struct io_uring ring;
    bool open;
    struct io_uring_sqe *ops[URING_OPS_MAX];
    uint64_t data[URING_OPS_MAX];
    unsigned queued;  /* operations since the last run */
    unsigned pending; /* without a result; cancels included */
    int results[URING_OPS_MAX];
    int broken;                  /* -errno of a ring that takes nothing any more, or 0 */
    struct io_uring_sqe spare;   /* what is prepared for such a ring */
    struct zero_copy *zero_copy; /* NULL: never lends */
    /* Sends that lend have a bit: one that is taken until the notification has come, and one that
     * says whether that is counted. */
    uint64_t loans_taken, loans_counted;
};

/* `u` is zeroed memory. Returns 0 or -errno. */
MUST_USE int uring_init(struct uring *u, struct zero_copy *zero_copy);
/* Fine on what was never opened. */
void uring_done(struct uring *u);

/* The next operation of the run, to be filled by an io_uring_prep_…(); user data is ours. */
struct io_uring_sqe *uring_op(struct uring *u);
/* The same for a send that lends, which uring_may_lend() unless too many are out. */
bool uring_may_lend(const struct uring *u);
struct io_uring_sqe *uring_op_lending(struct uring *u);
/*
 * Hands in what is queued and waits until each has its result, in results[] by order of
 * uring_op(): at most `timeout_ms`, then what is left is cancelled. -ECANCELED: nothing was done;
 * an operation that had done a part says how much. Where the kernel refuses the ring for good, all
 * that has no result has that refusal for one, now and in every later run.
 */
void uring_run(struct uring *u, unsigned timeout_ms);
/* As zero_copy_await(), for what was lent to the socket `fd`. */
MUST_USE int uring_await_returned(struct uring *u, int fd, int timeout_ms);

/* Whether this kernel sends from where memory lies, and says so when it could not. */
bool uring_can_lend(void);
