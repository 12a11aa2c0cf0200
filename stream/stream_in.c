#include "stream/stream_in.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "transport/file_channel.h"

int stream_in_init(struct stream_in *in, struct channel *channel, struct error *err)
{
    *in = (struct stream_in){.channel = channel, .data = malloc(STREAM_IN_ROOM)};
    if (!in->data)
        return err_sys(err, "memory for the stream's buffer");
    return 0;
}

void stream_in_done(struct stream_in *in)
{
    free(in->data);
    in->data = NULL;
}

void stream_in_unread(struct stream_in *in, const void *bytes, size_t len)
{
    memcpy(in->data, bytes, len);
    in->at = 0;
    in->end = len;
}

int stream_in_check(const struct stream_in *in, struct error *err)
{
    if (!in->failed)
        return 0;
    *err = in->err;
    return -1;
}

static void fail(struct stream_in *in, enum remedy remedy, const char *fmt, va_list args)
{
    char text[sizeof(in->err.text)];

    if (in->failed)
        return;
    vsnprintf(text, sizeof(text), fmt, args);
    in->failed = true;
    err_set(&in->err, ERR_PEER, "byte %llu: %s", (unsigned long long)in->offset, text);
    err_remedy(&in->err, remedy);
}

void stream_in_fail(struct stream_in *in, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fail(in, REMEDY_NONE, fmt, args);
    va_end(args);
}

void stream_in_fail_with(struct stream_in *in, enum remedy remedy, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fail(in, remedy, fmt, args);
    va_end(args);
}

static void took(struct stream_in *in, const void *bytes, size_t len)
{
    in->offset += len;
    if (in->copy && !in->failed && buf_append(in->copy, bytes, len, &in->err) < 0)
        in->failed = true;
}

/* Receives until `min` bytes are buffered. False: it failed, or the peer closed between records
 * (CHANNEL_MAY_IDLE). */
static bool refill(struct stream_in *in, size_t min, unsigned flags)
{
    size_t have = in->end - in->at, len = 0;

    memmove(in->data, in->data + in->at, have);
    in->at = 0;
    in->end = have;
    struct iovec iov = {in->data + have, STREAM_IN_ROOM - have};
    if (channel_recvv(in->channel, &iov, 1, min - have, flags, &len, &in->err) < 0) {
        in->failed = true;
        err_in(&in->err, "byte %llu", (unsigned long long)in->offset + have);
        return false;
    }
    in->end += len;
    return have + len >= min;
}

/* Most calls find the bytes buffered. refill() is separate so that they need no stack canary. */
static bool fill(struct stream_in *in, size_t min, unsigned flags)
{
    if (in->failed)
        return false;
    return in->end - in->at >= min || refill(in, min, flags);
}

bool stream_in_wait(struct stream_in *in)
{
    return fill(in, 1, CHANNEL_MAY_IDLE);
}

static uint64_t in_be(struct stream_in *in, size_t len)
{
    if (!fill(in, len, 0))
        return 0;
    struct reader r = reader_of(in->data + in->at, len);
    uint64_t value = get_be(&r, len);
    took(in, in->data + in->at, len);
    in->at += len;
    return value;
}

uint8_t in_u8(struct stream_in *in)
{
    return (uint8_t)in_be(in, 1);
}

uint16_t in_u16(struct stream_in *in)
{
    return (uint16_t)in_be(in, 2);
}

uint32_t in_u32(struct stream_in *in)
{
    return (uint32_t)in_be(in, 4);
}

uint64_t in_u64(struct stream_in *in)
{
    return in_be(in, 8);
}

void in_bytes(struct stream_in *in, void *to, size_t len)
{
    size_t have = MIN(in->end - in->at, len), got = 0;

    if (in->failed)
        return;
    memcpy(to, in->data + in->at, have);
    in->at += have;
    if (have < len) {
        /* Bytes that follow go into the buffer: one call for this and the next record. */
        struct iovec iov[] = {{(uint8_t *)to + have, len - have}, {in->data, STREAM_IN_ROOM}};

        if (channel_recvv(in->channel, iov, 2, len - have, 0, &got, &in->err) < 0) {
            in->failed = true;
            err_in(&in->err, "byte %llu", (unsigned long long)in->offset + have);
            return;
        }
        in->at = 0;
        in->end = got - (len - have);
    }
    took(in, to, len);
}

void in_skip(struct stream_in *in, size_t len)
{
    while (len > 0 && fill(in, 1, 0)) {
        size_t n = MIN(in->end - in->at, len);

        took(in, in->data + in->at, n);
        in->at += n;
        len -= n;
    }
}

void in_name(struct stream_in *in, char ret[static 256])
{
    size_t len = in_u8(in);

    in_bytes(in, ret, len);
    ret[in->failed ? 0 : len] = 0;
    for (const char *p = ret; *p || p < ret + (in->failed ? 0 : len); p++) {
        if (*p < 0x20 || *p > 0x7e) {
            stream_in_fail(in, "a name of %zu bytes holds byte 0x%02x, expected printable ASCII",
                           len, (unsigned char)*p);
            ret[0] = 0;
            return;
        }
    }
}

const uint8_t *stream_in_peek(struct stream_in *in, size_t min, size_t *ret_len)
{
    if (!fill(in, min, 0))
        return NULL;
    *ret_len = in->end - in->at;
    return in->data + in->at;
}

void stream_in_seek(struct stream_in *in, uint64_t offset)
{
    in->at = in->end = 0;
    in->offset = offset;
    file_channel_seek(in->channel, offset);
}
