/*
 * perf/bench_streams.h: what bench_channel and bench_tls have in common: a connection within this
 * process, and packets of pages that go through it, with a thread at each end.
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

/* Allocates and touches both. */
struct streams streams_new(size_t bytes);

/* How one end moves a packet; it may change iov. Ends the program on failure. */
typedef void streams_move(void *end, struct iovec *iov, size_t n);

/*
 * Moves every packet: a header and the pages, in pieces of `run_pages` pages that do not touch in
 * memory (0: all pages in one piece); `send` on this thread, `receive` on another. Then compares
 * what has arrived.
 */
struct bench_time streams_run(struct streams *s, unsigned run_pages, streams_move *send,
                              void *sender, streams_move *receive, void *receiver);

/* Connects as ramjet does, with the same socket options: over loopback, or a unix socket. */
void streams_connect(const char *address, int ret_fds[static 2]);

/* The first two work over a descriptor, the last two over a channel. */
streams_move streams_raw_send, streams_raw_receive, streams_send, streams_receive;
