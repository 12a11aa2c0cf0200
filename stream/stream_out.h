/*
 * stream/stream_out.h: buffered big-endian writing to a channel.
 *
 * Small fields are copied into a buffer, pages are not copied; one call sends both. The first
 * failure is kept: later writes do nothing, and stream_out_flush() returns it. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "transport/channel.h"

#define STREAM_OUT_ROOM 65536 /* bytes of collected fields */
#define STREAM_OUT_IOVS 512   /* pieces that one call sends */

struct stream_out {
    struct channel *channel; /* not owned */
    uint8_t *fields;         /* STREAM_OUT_ROOM bytes */
    size_t n_bytes;          /* collected but not sent yet */
    struct iovec iov[STREAM_OUT_IOVS];
    size_t n_iov;
    uint64_t offset; /* bytes written since the start, sent or not */
    bool failed;
    struct error err; /* valid once failed */
};

MUST_USE int stream_out_init(struct stream_out *out, struct channel *channel, struct error *err);
void stream_out_done(struct stream_out *out);

void out_u8(struct stream_out *out, uint8_t value);
void out_u16(struct stream_out *out, uint16_t value);
void out_u32(struct stream_out *out, uint32_t value);
void out_u64(struct stream_out *out, uint64_t value);
void out_bytes(struct stream_out *out, const void *bytes, size_t len);
/* A str8; `name` has at most 255 bytes. */
void out_name(struct stream_out *out, const char *name);
/* Not copied: the bytes must stay readable until the next stream_out_flush(). */
void out_borrowed(struct stream_out *out, const void *bytes, size_t len);

/* Sends what is collected. Returns -1 with the first failure, if there was one. */
MUST_USE int stream_out_flush(struct stream_out *out, struct error *err);
/* For a channel over a file: flushes, then writes on from `offset` of the file. */
void stream_out_seek(struct stream_out *out, uint64_t offset);
