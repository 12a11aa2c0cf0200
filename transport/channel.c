#include "transport/channel.h"

size_t iov_total(const struct iovec *iov, size_t n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += iov[i].iov_len;
    return total;
}

size_t iov_advance(struct iovec **iov, size_t n, size_t len)
{
    while (n > 0 && len >= (*iov)->iov_len) {
        len -= (*iov)->iov_len;
        (*iov)++;
        n--;
    }
    if (n > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + len;
        (*iov)->iov_len -= len;
    }
    return n;
}

void channel_offer_memory(struct channel *c, const struct iovec *iov, size_t n)
{
    if (c->ops->offer_memory)
        c->ops->offer_memory(c, iov, n);
}

static bool is_limited(const struct channel *c)
{
    return c->rate_limit && c->rate_limit->bytes_per_s;
}

/* Waits for the bytes that channel_reserve() has not waited for. */
static void let_pass(struct channel *c, size_t bytes)
{
    size_t passed = MIN(bytes, c->reserved);

    c->reserved -= passed;
    if (bytes > passed)
        rate_limit_take(c->rate_limit, bytes - passed);
}

void channel_reserve(struct channel *c, size_t bytes)
{
    c->reserved = 0;
    if (!is_limited(c))
        return;
    rate_limit_take(c->rate_limit, bytes);
    c->reserved = bytes;
}

int channel_sendv(struct channel *c, struct iovec *iov, size_t n, unsigned flags, struct error *err)
{
    if (is_limited(c) && !(flags & CHANNEL_NOWAIT))
        let_pass(c, iov_total(iov, n));
    return c->ops->sendv(c, iov, n, flags, err);
}

int channel_send(struct channel *c, const void *bytes, size_t len, unsigned flags,
                 struct error *err)
{
    struct iovec iov = {.iov_base = UNQUALIFIED(bytes), .iov_len = len};

    return channel_sendv(c, &iov, 1, flags, err);
}

bool channel_sends_files(const struct channel *c)
{
    return c->ops->send_file;
}

int channel_send_file(struct channel *c, int fd, uint64_t offset, size_t len, struct error *err)
{
    if (is_limited(c))
        let_pass(c, len);
    return c->ops->send_file(c, fd, offset, len, err);
}

int channel_recvv(struct channel *c, struct iovec *iov, size_t n, size_t min, unsigned flags,
                  size_t *ret_len, struct error *err)
{
    atomic_store_explicit(&c->receiving, true, memory_order_relaxed);
    int rc = c->ops->recvv(c, iov, n, min, flags, ret_len, err);
    atomic_store_explicit(&c->receiving, false, memory_order_relaxed);
    return rc;
}

int channel_drain(struct channel *c, struct error *err)
{
    return c->ops->drain ? c->ops->drain(c, err) : 0;
}

int channel_finish(struct channel *c, uint64_t patience_ms, struct error *err)
{
    atomic_store(&c->stall_timeout_ms, patience_ms);
    return c->ops->finish ? c->ops->finish(c, err) : 0;
}

struct channel_security channel_security(const struct channel *c)
{
    return c->ops->security ? c->ops->security(c) : (struct channel_security){0};
}

void channel_interrupt(struct channel *c)
{
    c->ops->interrupt(c);
}

bool channel_path_lost(const struct channel *c)
{
    while (c->below)
        c = c->below;
    return atomic_load_explicit(&c->path_lost, memory_order_relaxed);
}

void channel_free(struct channel *c)
{
    if (c)
        c->ops->free(c);
}
