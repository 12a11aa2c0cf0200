#include "stream/stream_out.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "transport/file_channel.h"

int stream_out_init(struct stream_out *out, struct channel *channel, struct error *err)
{
    memset(out, 0, sizeof(*out));
    out->channel = channel;
    out->fields = malloc(STREAM_OUT_ROOM);
    if (!out->fields)
        return err_sys(err, "memory for the stream's buffer");
    return 0;
}

void stream_out_done(struct stream_out *out)
{
    free(out->fields);
    out->fields = NULL;
}

static void send_collected(struct stream_out *out)
{
    if (!out->failed && out->n_iov > 0 &&
        channel_sendv(out->channel, out->iov, out->n_iov, 0, &out->err) < 0) {
        err_in(&out->err, "main stream");
        out->failed = true;
    }
    out->n_iov = 0;
    out->n_bytes = 0;
}

/* Adds a piece. If it follows the last piece in memory, makes that one longer instead. */
static void add_piece(struct stream_out *out, const void *bytes, size_t len)
{
    struct iovec *last = out->n_iov ? &out->iov[out->n_iov - 1] : NULL;

    if (last && (const uint8_t *)last->iov_base + last->iov_len == bytes)
        last->iov_len += len;
    else
        out->iov[out->n_iov++] = (struct iovec){UNQUALIFIED(bytes), len};
    out->offset += len;
}

void out_bytes(struct stream_out *out, const void *bytes, size_t len)
{
    while (len > 0 && !out->failed) {
        if (out->n_bytes == STREAM_OUT_ROOM || out->n_iov == STREAM_OUT_IOVS)
            send_collected(out);
        size_t n = MIN(len, STREAM_OUT_ROOM - out->n_bytes);
        uint8_t *to = out->fields + out->n_bytes;
        memcpy(to, bytes, n);
        add_piece(out, to, n);
        out->n_bytes += n;
        bytes = (const uint8_t *)bytes + n;
        len -= n;
    }
}

void out_borrowed(struct stream_out *out, const void *bytes, size_t len)
{
    if (out->failed)
        return;
    if (out->n_iov == STREAM_OUT_IOVS)
        send_collected(out);
    add_piece(out, bytes, len);
}

static void out_be(struct stream_out *out, uint64_t value, size_t len)
{
    uint8_t bytes[8];
    struct writer w = writer_of(bytes, sizeof(bytes));

    put_be(&w, value, len);
    out_bytes(out, bytes, len);
}

void out_u8(struct stream_out *out, uint8_t value)
{
    out_be(out, value, 1);
}

void out_u16(struct stream_out *out, uint16_t value)
{
    out_be(out, value, 2);
}

void out_u32(struct stream_out *out, uint32_t value)
{
    out_be(out, value, 4);
}

void out_u64(struct stream_out *out, uint64_t value)
{
    out_be(out, value, 8);
}

void out_name(struct stream_out *out, const char *name)
{
    size_t len = strlen(name);

    assert(len <= 255);
    out_u8(out, (uint8_t)len);
    out_bytes(out, name, len);
}

int stream_out_flush(struct stream_out *out, struct error *err)
{
    send_collected(out);
    if (!out->failed)
        return 0;
    *err = out->err;
    return -1;
}

void stream_out_seek(struct stream_out *out, uint64_t offset)
{
    send_collected(out);
    out->offset = offset;
    file_channel_seek(out->channel, offset);
}
