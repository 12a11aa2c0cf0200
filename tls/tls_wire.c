#include "tls/tls_wire.h"

#include <stdlib.h>
#include <string.h>

/* --- what OpenSSL calls ----------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *to, size_t len, size_t *ret_len)
{
    struct tls_wire *w = BIO_get_data(bio);
    size_t n = MIN(len, w->in_end - w->in_at);

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(to, w->in + w->in_at, n);
    w->in_at += n;
    *ret_len = n;
    return 1;
}

static int put(uint8_t *buf, size_t *buf_len, size_t room, const void *bytes, size_t len)
{
    if (room - *buf_len < len)
        return 0;
    memcpy(buf + *buf_len, bytes, len);
    *buf_len += len;
    return 1;
}

/* The buffer is full only if a peer makes us answer without end. */
static int bio_write(BIO *bio, const char *from, size_t len, size_t *ret_len)
{
    struct tls_wire *w = BIO_get_data(bio);
    int ok = w->taken ? put(w->aside, &w->aside_len, sizeof(w->aside), from, len)
                      : put(w->out, &w->out_len, TLS_WIRE_OUT, from, len);

    BIO_clear_retry_flags(bio);
    if (!ok)
        BIO_set_retry_write(bio);
    *ret_len = ok ? len : 0;
    return ok;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    (void)bio;
    (void)number;
    (void)arg;
    return command == BIO_CTRL_FLUSH; /* the thread that sends does it */
}

/* --- making ----------------------------------------------------------------------------------- */

static BIO *make_bio(struct tls_wire *w)
{
    w->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tls_wire");
    if (!w->method)
        return NULL;
    BIO_meth_set_read_ex(w->method, bio_read);
    BIO_meth_set_write_ex(w->method, bio_write);
    BIO_meth_set_ctrl(w->method, bio_ctrl);
    BIO *bio = BIO_new(w->method);
    if (!bio)
        return NULL;
    BIO_set_data(bio, w);
    BIO_set_init(bio, 1);
    return bio;
}

int tls_wire_init(struct tls_wire *w, struct channel *below, BIO **ret_bio, struct error *err)
{
    *w = (struct tls_wire){.below = below, .in = malloc(TLS_WIRE_IN), .out = malloc(TLS_WIRE_OUT)};
    BIO *bio = w->in && w->out ? make_bio(w) : NULL;

    if (!bio)
        return err_sys(err, "memory for a TLS channel");
    *ret_bio = bio;
    return 0;
}

void tls_wire_done(struct tls_wire *w)
{
    BIO_meth_free(w->method);
    free(w->in);
    free(w->out);
    w->method = NULL;
    w->in = w->out = NULL;
}

/* --- receiving and sending -------------------------------------------------------------------- */

/* Whether the peer has closed the connection: a second look sees the close again. */
static bool is_closed(struct channel *below)
{
    struct error ignored;
    size_t len = 1;
    char byte;
    struct iovec iov = {&byte, 1};

    return channel_recvv(below, &iov, 1, 1, CHANNEL_PEEK | CHANNEL_NOWAIT | CHANNEL_MAY_IDLE, &len,
                         &ignored) == 0 &&
           len == 0;
}

int tls_wire_fill(struct tls_wire *w, unsigned flags, size_t *ret_len, struct error *err)
{
    const unsigned passed_on = CHANNEL_NOWAIT | CHANNEL_MAY_IDLE | CHANNEL_RECALL;
    struct iovec iov = {w->in, TLS_WIRE_IN};
    size_t len = 0;

    w->in_at = w->in_end = 0;
    /* Below, an unexpected close and silence are both ERR_PEER: a second look tells them apart. */
    if (channel_recvv(w->below, &iov, 1, 1, flags & passed_on, &len, err) < 0 &&
        !(err->kind == ERR_PEER && is_closed(w->below)))
        return -1;
    w->in_end = len;
    *ret_len = len;
    return 0;
}

size_t tls_wire_room(const struct tls_wire *w)
{
    return (TLS_WIRE_OUT - w->out_len) / TLS_RECORD_ROOM;
}

struct iovec tls_wire_take(struct tls_wire *w)
{
    w->taken = true;
    return (struct iovec){w->out, w->out_len};
}

void tls_wire_taken_is_sent(struct tls_wire *w)
{
    w->taken = false;
    w->out_len = 0;
    put(w->out, &w->out_len, TLS_WIRE_OUT, w->aside, w->aside_len);
    w->aside_len = 0;
}
