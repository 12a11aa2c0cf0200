/*
 * transport/fd_channel.h: what all engines share: the loop around partial transfers, the stall
 * timeout, interrupts, memory that is lent to the kernel, counters and error texts. An engine only
 * makes a single transfer.
 */
#pragma once

#include "transport/channel.h"
#include "transport/engine.h"
#include "transport/path.h"
#include "transport/zero_copy.h"

struct fd_channel;

/*
 * How one engine moves bytes. No call waits longer than a tick, so silence is noticed and no
 * interrupt is missed; shutdown(2) wakes a call at once. All fail with -1 and errno: EAGAIN if
 * nothing moved during the tick (with CHANNEL_NOWAIT: at once); EINTR to be called again.
 */
struct fd_channel_moves {
    /* Sends some of iov, at least a byte. With CHANNEL_BORROW it sends without copying and counts
     * the send in zero_copy.lent; ENOBUFS or ENOMEM if the kernel cannot borrow more. */
    ssize_t (*send)(struct fd_channel *f, struct iovec *iov, size_t n, unsigned flags);
    /* Fills some of iov; 0 at the end. It need not wait for more than `min` bytes. */
    ssize_t (*receive)(struct fd_channel *f, struct iovec *iov, size_t n, size_t min,
                       unsigned flags);
    /* Waits until lent memory comes back; returns the number of sends that no longer use theirs. */
    int (*await_returned)(struct fd_channel *f);
};

struct fd_channel {
    struct channel base;
    const struct fd_channel_moves *moves;
    unsigned tick_ms;
    uint64_t stall_timeout_ms; /* the user's setting; 0 = no limit */
    atomic_bool interrupted;
    struct path way_in; /* the receiver's */
    /* The sender's. */
    struct path way_out;
    struct zero_copy zero_copy;
};

static inline struct fd_channel *fd_channel_of(struct channel *c)
{
    return (struct fd_channel *)c;
}

/* `f` is zeroed memory. On success it takes ownership of the descriptor. */
MUST_USE int fd_channel_init(struct fd_channel *f, int fd, const struct channel_ops *ops,
                             const struct fd_channel_moves *moves,
                             const struct engine_config *config, struct error *err);
void fd_channel_done(struct fd_channel *f);

/* The members of struct channel_ops. */
int fd_channel_sendv(struct channel *c, struct iovec *iov, size_t n, unsigned flags,
                     struct error *err);
int fd_channel_send_file(struct channel *c, int fd, uint64_t offset, size_t len, struct error *err);
int fd_channel_recvv(struct channel *c, struct iovec *iov, size_t n, size_t min, unsigned flags,
                     size_t *ret_len, struct error *err);
int fd_channel_drain(struct channel *c, struct error *err);
void fd_channel_interrupt(struct channel *c);
