/*
 * perf/bench_streams.h: what bench_channel and bench_tls have in common: a connection within this
 * process, and packets of pages that go through it, a thread at each end.
 */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

#include "perf/bench.h"
#include "transport/channel.h"

#define HEAD_BYTES   1344 /* a multifd packet's layout */
#define PAGE_BYTES   4096
#define PACKET_PAGES 128

/* The pages at both ends; whole packets. */
struct streams {
    uint8_t *from, *to;
    size_t bytes;
};

/* Both are made and touched. */
struct streams streams_new(size_t bytes);

/* How one end moves a packet; iov is consumed. Ends the program where it fails. */
typedef void streams_move(void *end, struct iovec *iov, size_t n);

/*
 * A head and the pages of `run_pages` pages each, with a gap of one between two (0: all in one),
 * for every packet: `send` on this thread, `receive` on another. Then compares what has come.
 */
struct bench_time streams_run(struct streams *s, unsigned run_pages, streams_move *send,
                              void *sender, streams_move *receive, void *receiver);

/* Connected and tuned as ramjet does it: over loopback, or a unix socket. */
void streams_connect(const char *address, int ret_fds[static 2]);

/* A streams_move over a descriptor, and one over a channel. */
streams_move streams_raw_send, streams_raw_receive, streams_send, streams_receive;
