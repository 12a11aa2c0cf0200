/*
 * transport/zero_copy.h: memory that the kernel sends from where it lies: how many sends still do,
 * and MSG_ZEROCOPY's way of saying that one no longer does.
 *
 * Source: Linux, Documentation/networking/msg_zerocopy.rst. The kernel numbers a socket's
 * MSG_ZEROCOPY sends from 0 on, modulo 2^32, and reports ranges of numbers on the error queue, in
 * any order, each number once. So they are counted and not looked at: a socket that was handed to
 * us may have begun anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct zero_copy {
    uint32_t lent;   /* sends whose memory the kernel may still read */
    uint64_t copied; /* sends that were to borrow and were copied after all */
};

/* Lets a socket borrow. Fails with ERR_USAGE where its kind cannot. */
MUST_USE int zero_copy_enable(int fd, struct error *err);
/*
 * Fails with ERR_USAGE for a socket whose reports cannot be counted: a vsock numbers what it has
 * room for at a time, and a send may take several such parts. (io_uring has reports of its own.)
 */
MUST_USE int zero_copy_check_reports(int fd, struct error *err);
/*
 * The sends numbered `first` to `last` are done with. Returns how many they are; -1 with errno
 * EPROTO for more than there were.
 */
MUST_USE int zero_copy_returned(struct zero_copy *z, uint32_t first, uint32_t last, bool copied);
/*
 * Reads what lies in the socket's error queue, without waiting. Returns the number of sends that
 * are done with, or -1 with errno: EAGAIN when there is none.
 */
MUST_USE int zero_copy_collect(struct zero_copy *z, int fd);
/*
 * The same, waiting up to `timeout_ms` for the first. A connection that is gone and has nothing
 * more to report is -1, with the socket's error or EPIPE.
 */
MUST_USE int zero_copy_await(struct zero_copy *z, int fd, int timeout_ms);
/* The error of a connection that is gone, or EPIPE. */
int zero_copy_why_gone(int fd);
