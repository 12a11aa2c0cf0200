/*
 * transport/resolve.h: from a host's name and a port to socket addresses, with a deadline and a
 * cancel.
 *
 * getaddrinfo() has neither: if the name server does not answer, it takes a minute, and nothing
 * stops it. So each name is looked up on a thread of its own, and a caller that no longer wants the
 * answer abandons that thread. The thread owns all data that it uses and takes none of the
 * program's signals; no thread waits for its end, and neither does the process. (getaddrinfo_a()
 * would not help: a request under way cannot be cancelled either, so it would have to outlive the
 * caller too, and its threads take the program's signals.) There are at most 64 such threads. A
 * numeric address needs none.
 */
#pragma once

#include <netdb.h>

#include "base/cancel.h"
#include "transport/address.h"

/*
 * The socket addresses of a tcp: address, at least one; the caller frees them with freeaddrinfo().
 * `flags`: AI_PASSIVE for addresses to listen on. Fails with ERR_CANCELLED, or with ERR_SYSTEM; its
 * `sys` is ETIMEDOUT after the deadline.
 */
MUST_USE int resolve(const struct address *a, int flags, uint64_t deadline,
                     const struct cancel *cancel, struct addrinfo **ret, struct error *err);
