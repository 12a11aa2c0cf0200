/*
 * transport/uring.h: an io_uring that submits a few operations at once and waits for all of them.
 * When uring_run() returns, none of them is under way. Only memory lent by SEND_ZC may still be in
 * use; a struct zero_copy counts its notifications.
 *
 * For one thread at a time, but not always the same one: so no SINGLE_ISSUER, no DEFER_TASKRUN.
 */
#pragma once

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>

#include "transport/zero_copy.h"

/* Older headers lack these. */
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
    unsigned pending; /* operations without a result; cancels included */
    int results[URING_OPS_MAX];
    int broken;                  /* -errno of a ring that no longer works, or 0 */
    struct io_uring_sqe spare;   /* operations for a broken ring are written here and never used */
    struct zero_copy *zero_copy; /* NULL: never lends */
    /* Bit sets of the sends that lend. loans_taken: until the notification has come.
     * loans_counted: those that zero_copy->lent counts. */
    uint64_t loans_taken, loans_counted;
};

/* `u` is zeroed memory. Returns 0 or -errno. */
MUST_USE int uring_init(struct uring *u, struct zero_copy *zero_copy);
/* Also for a zeroed ring that was never opened. */
void uring_done(struct uring *u);

/* The next operation of the run. The caller fills it with an io_uring_prep_…() and does not set its
 * user data. */
struct io_uring_sqe *uring_op(struct uring *u);
/* The same for a send that lends. Only if uring_may_lend(): not too many are out already. */
bool uring_may_lend(const struct uring *u);
struct io_uring_sqe *uring_op_lending(struct uring *u);
/*
 * Submits the queued operations and waits until each has its result, in results[] in the order of
 * uring_op(). After `timeout_ms` the rest is cancelled: -ECANCELED means that nothing was done; an
 * operation that had done a part returns how much. If the kernel refuses the ring for good, every
 * operation without a result gets that error, now and in every later run.
 */
void uring_run(struct uring *u, unsigned timeout_ms);
/* Like zero_copy_await(), for memory that this ring has lent to the socket `fd`. */
MUST_USE int uring_await_returned(struct uring *u, int fd, int timeout_ms);

/* Whether this kernel can send without copying, and reports when it had to copy. */
bool uring_can_lend(void);
