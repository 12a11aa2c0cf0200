#include "tls/tls_state.h"

#include <errno.h>
#include <stdlib.h>

#include "transport/path.h"

struct tls_channel *tls_state_new(struct channel *below)
{
    struct tls_channel *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->base.fd = below->fd;
    t->base.local = below->local;
    t->base.below = below;
    atomic_init(&t->base.stall_timeout_ms, atomic_load(&below->stall_timeout_ms));
    t->below = below;
    pthread_mutex_init(&t->send_lock, NULL);
    pthread_mutex_init(&t->recv_lock, NULL);
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void tls_state_free(struct tls_channel *t)
{
    tls_session_done(&t->session);
    tls_wire_done(&t->wire);
    pthread_mutex_destroy(&t->send_lock);
    pthread_mutex_destroy(&t->recv_lock);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

void tls_state_pass_patience(struct tls_channel *t)
{
    atomic_store(&t->below->stall_timeout_ms, atomic_load(&t->base.stall_timeout_ms));
    atomic_store(&t->below->may_rest, atomic_load(&t->base.may_rest));
}

/* If the kernel encrypts, the channel below counts plain bytes: the socket's position has the
 * number of encrypted ones. */
void tls_state_count_sent(struct tls_channel *t)
{
    uint64_t bytes = atomic_load(&t->below->bytes_sent);

    if (t->security.by_kernel) {
        if (!path_position(t->base.fd, &bytes))
            return; /* it is counted the next time */
        bytes -= t->ktls_from;
    }
    atomic_store_explicit(&t->base.bytes_sent, bytes, memory_order_relaxed);
}

void tls_state_count_received(struct tls_channel *t)
{
    atomic_store_explicit(&t->base.bytes_received, atomic_load(&t->below->bytes_received),
                          memory_order_relaxed);
}

int tls_state_flush(struct tls_channel *t, unsigned flags, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&t->lock);
    struct iovec iov = tls_wire_take(&t->wire);
    pthread_mutex_unlock(&t->lock);
    if (iov.iov_len > 0 && !t->security.by_kernel) /* the kernel would encrypt it again */
        rc = channel_sendv(t->below, &iov, 1, flags & (CHANNEL_NOWAIT | CHANNEL_MORE), err);
    tls_state_count_sent(t);
    pthread_mutex_lock(&t->lock);
    tls_wire_taken_is_sent(&t->wire);
    pthread_mutex_unlock(&t->lock);
    return rc;
}

bool tls_peer_has_gone(const struct error *err)
{
    return err->kind == ERR_SYSTEM && (err->sys == EPIPE || err->sys == ECONNRESET);
}
