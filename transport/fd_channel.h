/*
 * transport/fd_channel.h: what all engines do alike: the loop around partial transfers, silence
 * that lasts too long, interrupts, memory that is lent, counters, and the words for what went
 * wrong. An engine only moves bytes, once.
 */
#pragma once

#include "transport/channel.h"
#include "transport/engine.h"
#include "transport/path.h"
#include "transport/zero_copy.h"

struct fd_channel;

/*
 * How one engine moves bytes. None waits longer than a tick, so that silence is noticed and an
 * interrupt never missed; shutdown(2) wakes them at once. All return -1 with errno: EAGAIN when the
 * tick, or with CHANNEL_NOWAIT the moment, brought nothing; EINTR to be called again.
 */
struct fd_channel_moves {
    /* Sends some of iov, at least a byte. With CHANNEL_BORROW out of the memory itself, counted in
     * zero_copy.lent; ENOBUFS or ENOMEM when the kernel borrows no more. */
    ssize_t (*send)(struct fd_channel *f, struct iovec *iov, size_t n, unsigned flags);
    /* Fills some of iov; 0 at the end. More than `min` bytes are not worth waiting for. */
    ssize_t (*receive)(struct fd_channel *f, struct iovec *iov, size_t n, size_t min,
                       unsigned flags);
    /* Waits for some of what is lent; returns how many sends came back. */
    int (*await_returned)(struct fd_channel *f);
};

struct fd_channel {
    struct channel base;
    const struct fd_channel_moves *moves;
    unsigned tick_ms;
    uint64_t stall_timeout_ms; /* as the user has it; 0 = no limit */
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

/* `f` is zeroed memory. Takes the descriptor when it succeeds. */
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
