/*
 * transport/resolve.h: from a host's name and a port to socket addresses, within a limit and a
 * cancel.
 *
 * getaddrinfo() has neither: with a name server that does not answer it takes a minute, and nothing
 * stops it. So a name is looked up on a thread of its own, and whoever no longer wants the answer
 * leaves that thread behind. It owns all that it works on, has all signals blocked, and nobody
 * waits for its end, the process neither. (getaddrinfo_a() would not do: what it has begun can not
 * be cancelled either, so its request has to outlive the caller just the same, and its threads take
 * the program's signals.) There are 64 of them at the most. A number needs no thread.
 */
#pragma once

#include <netdb.h>

#include "base/cancel.h"
#include "transport/address.h"

/*
 * The addresses of a tcp: address, at least one; for freeaddrinfo(). flags: AI_PASSIVE for those to
 * listen at. Fails with ERR_CANCELLED, or with ERR_SYSTEM: where the deadline has passed, `sys` is
 * ETIMEDOUT.
 */
MUST_USE int resolve(const struct address *a, int flags, uint64_t deadline,
                     const struct cancel *cancel, struct addrinfo **ret, struct error *err);
