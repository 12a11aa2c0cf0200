/*
 * transport/connect_any.h: a connection to whichever of several addresses takes one first. They
 * share one limit, and none keeps the others from being tried.
 *
 * The addresses are tried in their order. An address that refuses is left at once; one that is
 * silent is given up to a second before the next is tried as well, and goes on being waited for. A
 * second is as long as a SYN waits before it is sent again: a peer that can be reached at two
 * addresses hardly ever sees a second connection, which is closed without a byte.
 */
#pragma once

#include "base/cancel.h"

struct addrinfo;

/*
 * *ret_fd is blocking. prepare(): of each socket, before it is connected; NULL: nothing to do.
 * text: the name, for messages where there are several addresses.
 */
MUST_USE int connect_any(const struct addrinfo *list, const char *text,
                         void (*prepare)(int fd, const struct addrinfo *ai), uint64_t deadline,
                         const struct cancel *cancel, int *ret_fd, struct error *err);
