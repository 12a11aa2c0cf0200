/*
 * transport/tcp_probe.h: whether something listens at an address, found out without a connection
 * that the peer's program would see; for transport/ only.
 *
 * A program that waits for one connection, as a QEMU does, takes the first one and is used up by
 * it. So the probe sends a SYN, and a filter on its socket drops every answer but a RST: what
 * listens is never told that its answer has come, and accept(2) returns nothing. A RST means that
 * nothing listens.
 */
#pragma once

#include "base/error.h"

struct addrinfo;

/*
 * Fails if the host of each address refuses, or cannot be reached. 0 also where that is not known:
 * nothing has come within a second, or this kernel does not let us ask.
 */
MUST_USE int tcp_probe(const struct addrinfo *list, struct error *err);
