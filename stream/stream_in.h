/*
 * stream/stream_in.h: buffered big-endian reading from a channel.
 *
 * The first failure is kept: every later read yields zeros, so one stream_in_check() after the last
 * field of a record is enough. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "transport/channel.h"

/* Bytes: enough to hold a page record, and most device sections, in one piece. */
#define STREAM_IN_ROOM 262144

struct stream_in {
    struct channel *channel; /* not owned */
    uint8_t *data;           /* STREAM_IN_ROOM bytes */
    size_t at, end;          /* data[at..end) is received but not read yet */
    uint64_t offset;         /* of data[at] in the stream, in bytes */
    struct buf *copy;        /* bytes that are read are also appended here; NULL: no copy */
    bool failed;
    struct error err; /* valid once failed */
};

MUST_USE int stream_in_init(struct stream_in *in, struct channel *channel, struct error *err);
void stream_in_done(struct stream_in *in);

/* Call before the first read: puts bytes that were received from the channel before into the
 * stream. */
void stream_in_unread(struct stream_in *in, const void *bytes, size_t len);

/* Returns -1 with the first failure, if there was one. */
MUST_USE int stream_in_check(const struct stream_in *in, struct error *err);
/* Makes the stream fail at the present byte with this text; an earlier failure is kept. */
void stream_in_fail(struct stream_in *in, const char *fmt, ...) PRINTF(2, 3);
/* The same, with a remedy. */
void stream_in_fail_with(struct stream_in *in, enum remedy remedy, const char *fmt, ...)
    PRINTF(3, 4);

/*
 * Waits for the next byte between records, where a healthy source may be silent for any time.
 * False: the peer closed here, or the stream has failed.
 */
bool stream_in_wait(struct stream_in *in);

uint8_t in_u8(struct stream_in *in);
uint16_t in_u16(struct stream_in *in);
uint32_t in_u32(struct stream_in *in);
uint64_t in_u64(struct stream_in *in);
/* Bytes that are not buffered yet go directly from the channel to `to`. */
void in_bytes(struct stream_in *in, void *to, size_t len);
void in_skip(struct stream_in *in, size_t len);
/* A str8: at most 255 bytes. A terminator is added, unprintable bytes are refused. */
void in_name(struct stream_in *in, char ret[static 256]);

/*
 * The received bytes, without reading them: at least `min` (≤ STREAM_IN_ROOM), for which it waits.
 * NULL after a failure; it is a failure if the peer closes before `min` bytes.
 */
const uint8_t *stream_in_peek(struct stream_in *in, size_t min, size_t *ret_len);

/* For a channel over a file: reads on from `offset` of the file. */
void stream_in_seek(struct stream_in *in, uint64_t offset);
