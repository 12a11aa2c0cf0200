/*
 * tests/support/bytes_channel.h: channels for tests: bytes in memory, and two connected ends.
 */
#pragma once

#include "base/buf.h"
#include "stream/stream_in.h"
#include "stream/stream_out.h"
#include "transport/channel.h"

/* A file channel at the start of a memory-backed file that holds these bytes. Never fails. */
struct channel *bytes_channel(const void *bytes, size_t len);
/* The descriptor of such a file. */
int bytes_fd(const void *bytes, size_t len);
/* All that a file holds; free with buf_done(). */
struct buf bytes_of_fd(int fd);

/* Makes a stream that reads these bytes. bytes_stream_in_done() frees its channel, too. */
void bytes_stream_in(struct stream_in *in, const void *bytes, size_t len);
void bytes_stream_in_done(struct stream_in *in);

/* A stream into memory, and the file that holds what was written. */
struct bytes_out {
    struct stream_out out;
    int fd;
};
void bytes_out_init(struct bytes_out *o);
/* Flushes and returns all that was written; free it with buf_done(). */
struct buf bytes_out_take(struct bytes_out *o);

/* Two ends of an AF_UNIX stream as channels of the plain engine. */
void channel_pair(uint64_t stall_timeout_ms, struct channel *ret[static 2]);
/* The same, but the other end is a plain descriptor. */
struct channel *channel_and_fd(uint64_t stall_timeout_ms, int *ret_fd);
