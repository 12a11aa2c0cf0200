/*
 * base/cancel.h: a request to stop. Any thread or signal handler can make it, and any wait can see
 * it.
 *
 * The descriptor becomes readable at the request and stays readable: add it to the descriptors
 * that poll(2) waits for.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct cancel {
    int fd; /* an eventfd, or -1 */
    atomic_bool requested;
};

MUST_USE int cancel_init(struct cancel *c, struct error *err);
void cancel_done(struct cancel *c);

/* Any thread; safe in a signal handler. A second request changes nothing. */
void cancel_request(struct cancel *c);
bool cancel_requested(const struct cancel *c);

/*
 * Waits until `fd` shows one of `events` (poll's), the deadline passes, or the request comes.
 * Returns 0 when ready; -1 with ERR_CANCELLED, or with ERR_SYSTEM and ETIMEDOUT, otherwise.
 */
MUST_USE int cancel_poll(const struct cancel *c, int fd, short events, uint64_t deadline,
                         struct error *err);
