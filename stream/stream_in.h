/*
 * stream/stream_in.h: buffered big-endian reading from a channel.
 *
 * The first failure sticks: every later get yields zeros, and one stream_in_check() after the last
 * field of a record tells. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "transport/channel.h"

/* Bytes: a page record, and most device sections, are seen in one piece. */
#define STREAM_IN_ROOM 262144

struct stream_in {
    struct channel *channel; /* not owned */
    uint8_t *data;           /* STREAM_IN_ROOM bytes */
    size_t at, end;          /* data[at..end) has been received and not been read */
    uint64_t offset;         /* of data[at] in the stream, in bytes */
    struct buf *copy;        /* what is read is appended here too; NULL: nowhere */
    bool failed;
    struct error err; /* valid once failed */
};

MUST_USE int stream_in_init(struct stream_in *in, struct channel *channel, struct error *err);
void stream_in_done(struct stream_in *in);

/* Before anything was read: puts bytes in front that were taken off the channel already. */
void stream_in_unread(struct stream_in *in, const void *bytes, size_t len);

/* Hands out the first failure, if there was one. */
MUST_USE int stream_in_check(const struct stream_in *in, struct error *err);
/* Makes the stream fail as if it had been found out while reading; an earlier failure stands. */
void stream_in_fail(struct stream_in *in, const char *fmt, ...) PRINTF(2, 3);
/* The same, where something can be done about it. */
void stream_in_fail_with(struct stream_in *in, enum remedy remedy, const char *fmt, ...)
    PRINTF(3, 4);

/*
 * Waits for the next byte for as long as it takes: for the gaps between records, where a healthy
 * source may be silent. False: the peer closed here, or the stream has failed.
 */
bool stream_in_wait(struct stream_in *in);

uint8_t in_u8(struct stream_in *in);
uint16_t in_u16(struct stream_in *in);
uint32_t in_u32(struct stream_in *in);
uint64_t in_u64(struct stream_in *in);
/* Bytes go straight from the channel to `to` where they are not buffered yet. */
void in_bytes(struct stream_in *in, void *to, size_t len);
void in_skip(struct stream_in *in, size_t len);
/* A str8: at most 255 bytes. A terminator is added, unprintable bytes are refused. */
void in_name(struct stream_in *in, char ret[static 256]);

/*
 * Looks at what has been received without reading it: at least `min` bytes (≤ STREAM_IN_ROOM),
 * fetched if need be. NULL after a failure, which a close before `min` is.
 */
const uint8_t *stream_in_peek(struct stream_in *in, size_t min, size_t *ret_len);

/* For a channel over a file: goes on at `offset` of the file. */
void stream_in_seek(struct stream_in *in, uint64_t offset);
