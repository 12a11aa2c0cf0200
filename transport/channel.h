/*
 * transport/channel.h: one connection, as all layers above see it: bytes in order, sent from and
 * received into lists of buffers. Which engine moves the bytes, and whether TLS wraps them, is not
 * known here.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cancel.h"
#include "base/error.h"
#include "transport/rate_limit.h"

/* Flags of channel_sendv(). */
#define CHANNEL_BORROW 1U /* the bytes may be read after the return, until channel_drain() */
#define CHANNEL_MORE   2U /* more follows at once: these bytes may wait for it */

/* For channel_sendv() and channel_recvv(): fail with EAGAIN rather than wait for the peer. */
#define CHANNEL_NOWAIT 4U

/* Flags of channel_recvv(). */
#define CHANNEL_MAY_IDLE 8U  /* between records: the peer may be silent before the first byte */
#define CHANNEL_PEEK     16U /* the bytes are not consumed: the next receive returns them again */
#define CHANNEL_RECALL   32U /* with CHANNEL_MAY_IDLE: `recall` ends the wait with ECANCELED */

struct channel;

/* How the bytes are encrypted on their way. The texts live as long as the channel. */
struct channel_security {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_128_GCM_SHA256"; NULL: no encryption */
    bool by_kernel;               /* the kernel encrypts what we send */
};

/* One way to move bytes. Implemented by each engine (over a descriptor) and by tls/ (over a
 * channel).
 */
struct channel_ops {
    const char *name; /* as in --engine NAME and in statistics */
    /* Called by the channel's own thread: it will send pages from these `n` pieces of memory, and
     * the channel may register them with the kernel. NULL: that would gain nothing. */
    void (*offer_memory)(struct channel *c, const struct iovec *iov, size_t n);
    /* Sends all of iov or fails. */
    int (*sendv)(struct channel *c, struct iovec *iov, size_t n, unsigned flags, struct error *err);
    /* Sends a piece of a file that does not change, without copying if the kernel can. NULL: this
     * kind sends from memory only. */
    int (*send_file)(struct channel *c, int fd, uint64_t offset, size_t len, struct error *err);
    /* Fills at least `min` bytes of iov, in order, or fails; *ret_len is the number of bytes. */
    int (*recvv)(struct channel *c, struct iovec *iov, size_t n, size_t min, unsigned flags,
                 size_t *ret_len, struct error *err);
    /* Waits until nothing is borrowed any more. NULL: this kind never borrows. */
    int (*drain)(struct channel *c, struct error *err);
    /* Called when all was sent without error: sends the protocol's close message, then waits until
     * the peer has closed. NULL: the protocol has no close message. */
    int (*finish)(struct channel *c, struct error *err);
    /* Any thread. NULL: no encryption. */
    struct channel_security (*security)(const struct channel *c);
    /* Any thread. Wakes the threads that wait in the calls above; they fail with ERR_CANCELLED. */
    void (*interrupt)(struct channel *c);
    void (*free)(struct channel *c);
};

struct channel {
    /* Set before other threads see it, read-only after. */
    const struct channel_ops *ops;
    int fd;       /* the connected socket at the bottom, or -1; for options and poll(2) */
    bool local;   /* no network in between: see transport_is_local() */
    bool borrows; /* CHANNEL_BORROW has an effect: such a send must contain borrowed bytes only */
    struct rate_limit *rate_limit; /* NULL: no limit; not owned */
    const struct channel *below;   /* NULL: this channel has the socket itself */

    /* The sender's. */
    size_t reserved; /* bytes that have already waited for the rate limit */

    /* Any thread. */
    _Atomic uint64_t stall_timeout_ms; /* the longest silence inside a record; 0 = no limit */
    _Atomic bool may_rest; /* silence inside a record is fine while the peer's machine answers */

    /* Written by the thread that sends or receives, read by any. */
    _Atomic uint64_t bytes_sent, bytes_received;
    _Atomic bool receiving; /* the receiver waits for the peer, not busy with received bytes */
    _Atomic bool path_lost; /* read it with channel_path_lost() */
    _Atomic uint64_t copied_sends; /* sends that asked to borrow but were copied */
    /* The receiver's. */
    bool cut;     /* the peer closed, as a receive reported, but sent no close message before */
    bool refused; /* the error that a receive reported is the peer's own message: it refuses us */
    const struct cancel *recall; /* for CHANNEL_RECALL; NULL: no recall; not owned */
};

/*
 * Call it before the first page is sent, from the thread that will send. This is an offer: only a
 * channel that borrows accepts it, and only if every page is resident. The pieces must stay
 * mapped and writable, and must keep their pages: after a page is discarded (MADV_DONTNEED, a
 * balloon), the channel would still send the old page, not what is written there later. Do not
 * offer a private mapping of a file: accepting it would copy the file's pages.
 */
void channel_offer_memory(struct channel *c, const struct iovec *iov, size_t n);
/*
 * Waits until the rate limit lets `bytes` pass; the next sends, up to that many bytes, then do not
 * wait. For a packet that is one unit for the peer but several sends here.
 */
void channel_reserve(struct channel *c, size_t bytes);
/*
 * Sends all of iov. The array is consumed: its contents are undefined afterwards.
 * At any time one thread may send on a channel, and one may receive.
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
 * If the peer closes before `min` bytes, that is ERR_PEER; but if no byte has come and
 * CHANNEL_MAY_IDLE is set, it is success with *ret_len 0.
 * With CHANNEL_RECALL, once `recall` is requested, a call waits only for the rest of a record that
 * has begun. Bytes that came before the request are still received.
 */
MUST_USE int channel_recvv(struct channel *c, struct iovec *iov, size_t n, size_t min,
                           unsigned flags, size_t *ret_len, struct error *err);
MUST_USE int channel_drain(struct channel *c, struct error *err);
/*
 * Called by the thread that sends, after its last byte. `patience_ms`, which is not 0, is the stall
 * timeout from now on, and the longest wait for the peer to close.
 */
MUST_USE int channel_finish(struct channel *c, uint64_t patience_ms, struct error *err);
/* All members are NULL or false if the channel has no encryption. */
struct channel_security channel_security(const struct channel *c);
void channel_interrupt(struct channel *c);
/* The receiver waits, and the peer's machine does not answer: the network explains the silence. */
bool channel_path_lost(const struct channel *c);
/* NULL is fine. No thread may use the channel any more. */
void channel_free(struct channel *c);

/* Drops the first `len` bytes of an iovec array: returns how many entries are left, at *iov. */
size_t iov_advance(struct iovec **iov, size_t n, size_t len);
size_t iov_total(const struct iovec *iov, size_t n);
