/*
 * transport/zero_copy.h: memory that the kernel sends without copying: how many sends still use
 * theirs, and how MSG_ZEROCOPY reports that a send no longer does.
 *
 * Source: Linux, Documentation/networking/msg_zerocopy.rst. The kernel numbers a socket's
 * MSG_ZEROCOPY sends from 0 on, modulo 2^32, and reports ranges of numbers on the error queue, in
 * any order, each number once. We only count them: a socket that was handed to us may already be
 * at any number.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct zero_copy {
    uint32_t lent;   /* sends whose memory the kernel may still read */
    uint64_t copied; /* sends that should have borrowed but were copied */
};

/* Lets a socket borrow memory. Fails with ERR_USAGE if its kind cannot. */
MUST_USE int zero_copy_enable(int fd, struct error *err);
/*
 * Fails with ERR_USAGE for a socket whose reports cannot be counted: a vsock numbers each part for
 * which it has room, and one send may be several parts. (io_uring has its own reports.)
 */
MUST_USE int zero_copy_check_reports(int fd, struct error *err);
/*
 * The kernel no longer uses the memory of the sends `first` to `last`. Returns how many they are;
 * -1 with errno EPROTO if they are more than were lent.
 */
MUST_USE int zero_copy_returned(struct zero_copy *z, uint32_t first, uint32_t last, bool copied);
/*
 * Reads the socket's error queue, without waiting. Returns the number of sends that no longer use
 * their memory, or -1 with errno: EAGAIN if there is no report.
 */
MUST_USE int zero_copy_collect(struct zero_copy *z, int fd);
/*
 * The same, but waits up to `timeout_ms` for the first report. Returns -1 with the socket's error
 * or EPIPE if the connection is gone and has nothing more to report.
 */
MUST_USE int zero_copy_await(struct zero_copy *z, int fd, int timeout_ms);
/* The socket error of a connection that is gone; EPIPE if it has none. */
int zero_copy_why_gone(int fd);
