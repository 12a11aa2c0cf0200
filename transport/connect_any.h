/*
 * transport/connect_any.h: connects to the first of several addresses that accepts. They share one
 * time limit, and no address can keep the others from being tried.
 *
 * The addresses are tried in order. If one refuses, the next is tried at once. If one is silent for
 * up to a second, the next is tried as well, and we wait for both. After one second the kernel
 * sends a lost SYN again, so a peer with two reachable addresses hardly ever sees a second
 * connection; if it does, that one is closed without a byte.
 */
#pragma once

#include "base/cancel.h"

struct addrinfo;

/*
 * *ret_fd is blocking. prepare() is called for each socket before it is connected; NULL: nothing to
 * do. `text` is the name, for error texts if there are several addresses.
 */
MUST_USE int connect_any(const struct addrinfo *list, const char *text,
                         void (*prepare)(int fd, const struct addrinfo *ai), uint64_t deadline,
                         const struct cancel *cancel, int *ret_fd, struct error *err);
