/*
 * transport/channel.h: one connection, as everybody above sees it: bytes in order, gathered and
 * scattered. Which engine moves them, and whether something wraps them, is not known here.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cancel.h"
#include "base/error.h"
#include "transport/throttle.h"

/* Flags of channel_sendv(). */
#define CHANNEL_BORROW 1U /* the bytes may be read after the return, until channel_drain() */
#define CHANNEL_MORE   2U /* more follows at once: it need not leave before */

/* Of channel_sendv() and channel_recvv(): fail with EAGAIN rather than wait for the peer. */
#define CHANNEL_NOWAIT 4U

/* Flags of channel_recvv(). */
#define CHANNEL_MAY_IDLE 8U  /* we are between records: the first byte may take its time */
#define CHANNEL_PEEK     16U /* what is received stays, to be received again */
#define CHANNEL_RECALL   32U /* with CHANNEL_MAY_IDLE: `recall` ends the wait, by ECANCELED */

struct channel;

/* How what is sent is kept from others on its way. The texts live as long as the channel. */
struct channel_security {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_128_GCM_SHA256"; NULL: it is not */
    bool by_kernel;               /* it encrypts what we send */
};

/* One way to move bytes. Implemented by each engine (over a descriptor) and by tls/ (over a
 * channel).
 */
struct channel_ops {
    const char *name; /* as in --engine NAME and in statistics */
    /* The channel's own thread has memory in which pages will lie from now on, `n` pieces: it may
     * be registered with the kernel. NULL: nothing to be gained. */
    void (*offer_memory)(struct channel *c, const struct iovec *iov, size_t n);
    /* Sends all of iov or fails. */
    int (*sendv)(struct channel *c, struct iovec *iov, size_t n, unsigned flags, struct error *err);
    /* Sends a piece of a file that does not change, uncopied where the kernel can. NULL: this kind
     * sends from memory only. */
    int (*send_file)(struct channel *c, int fd, uint64_t offset, size_t len, struct error *err);
    /* Fills at least `min` bytes of iov, in order, or fails; *ret_len says how many it were. */
    int (*recvv)(struct channel *c, struct iovec *iov, size_t n, size_t min, unsigned flags,
                 size_t *ret_len, struct error *err);
    /* Waits until nothing is borrowed any more. NULL: this kind never borrows. */
    int (*drain)(struct channel *c, struct error *err);
    /* All is sent and well: says goodbye, where the protocol has a word for it, and waits until the
     * peer has closed. NULL: closing is all there is to say. */
    int (*finish)(struct channel *c, struct error *err);
    /* Any thread. NULL: what is sent can be read on its way. */
    struct channel_security (*security)(const struct channel *c);
    /* Wakes anyone blocked above, from any thread; they fail with ERR_CANCELLED. */
    void (*interrupt)(struct channel *c);
    void (*free)(struct channel *c);
};

struct channel {
    /* Set before other threads see it, read-only after. */
    const struct channel_ops *ops;
    int fd;       /* the connected socket at the bottom, or -1; for options and poll(2) */
    bool local;   /* no network in between: see transport_is_local() */
    bool borrows; /* CHANNEL_BORROW means what it says: send nothing else with it */
    struct throttle *throttle;   /* NULL: no limit; not owned */
    const struct channel *below; /* NULL: this one has the socket itself */

    /* The sender's. */
    size_t reserved; /* bytes that the rate limit has let pass already */

    /* Any thread. */
    _Atomic uint64_t stall_timeout_ms; /* the longest silence inside a record; 0 = no limit */
    _Atomic bool may_rest; /* inside a record, too, as long as the peer's machine answers */

    /* Written by the thread that sends or receives, read by any. */
    _Atomic uint64_t bytes_sent, bytes_received;
    _Atomic bool receiving; /* its receiver is waiting for the peer, not busy with what has come */
    _Atomic bool path_lost; /* to be had by channel_path_lost() */
    _Atomic uint64_t copied_sends; /* sends that asked to borrow and were copied after all */
    /* The receiver's. */
    bool cut;     /* the end that it was told of came without the protocol's goodbye */
    bool refused; /* the error that it was told of is the peer's own word: it will not have us */
    const struct cancel *recall; /* of CHANNEL_RECALL; NULL: there is none; not owned */
};

/*
 * Before the first page is sent, by the thread that will. An offer: only what is wholly resident is
 * taken, and only by a channel that borrows. The pieces stay mapped, writable, and keep their
 * pages: if one is discarded (MADV_DONTNEED, a balloon), the old page would be sent and not what is
 * written there afterwards. So a private mapping of a file, which would be copied, is not to be
 * offered.
 */
void channel_offer_memory(struct channel *c, const struct iovec *iov, size_t n);
/*
 * Waits until the rate limit lets `bytes` pass, which the sends that follow then do without
 * waiting: for what is one to the peer and several sends here.
 */
void channel_reserve(struct channel *c, size_t bytes);
/*
 * Sends all of iov. The array is consumed: its contents are undefined afterwards.
 * One thread at a time sends on a channel, one at a time receives.
 */
MUST_USE int channel_sendv(struct channel *c, struct iovec *iov, size_t n, unsigned flags,
                           struct error *err);
MUST_USE int channel_send(struct channel *c, const void *bytes, size_t len, unsigned flags,
                          struct error *err);
/* Whether channel_send_file() may be called. */
bool channel_sends_files(const struct channel *c);
/* `offset` and `len` in bytes; the descriptor stays the caller's. May raise SIGPIPE: ignore it. */
MUST_USE int channel_send_file(struct channel *c, int fd, uint64_t offset, size_t len,
                               struct error *err);
/*
 * Receives at least `min` bytes and at most what iov holds. The array is consumed.
 * The peer's close before `min` is ERR_PEER, or where nothing came and CHANNEL_MAY_IDLE is set:
 * success with *ret_len 0.
 * Once `recall` is requested, CHANNEL_RECALL waits for the rest of a record that has begun, and for
 * nothing else. What had come before the request is received.
 */
MUST_USE int channel_recvv(struct channel *c, struct iovec *iov, size_t n, size_t min,
                           unsigned flags, size_t *ret_len, struct error *err);
MUST_USE int channel_drain(struct channel *c, struct error *err);
/*
 * By the thread that sends, after its last byte. `patience_ms`, not 0, is the stall timeout from
 * here on, and how long it waits for the peer to close.
 */
MUST_USE int channel_finish(struct channel *c, uint64_t patience_ms, struct error *err);
/* All of it NULL and false where it has none. */
struct channel_security channel_security(const struct channel *c);
void channel_interrupt(struct channel *c);
/* The receiver waits, and the peer's machine does not answer: its silence is no wonder. */
bool channel_path_lost(const struct channel *c);
/* NULL is fine. Nobody may use the channel any more. */
void channel_free(struct channel *c);

/* Drops the first `len` bytes of an iovec array: returns how many entries are left, at *iov. */
size_t iov_advance(struct iovec **iov, size_t n, size_t len);
size_t iov_total(const struct iovec *iov, size_t n);
