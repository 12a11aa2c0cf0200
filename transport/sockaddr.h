/*
 * transport/sockaddr.h: a socket address as text, in errors, and connected to; for transport/ only.
 */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cancel.h"
#include "base/error.h"

#define SOCKADDR_HOST_LEN (INET6_ADDRSTRLEN + IF_NAMESIZE + 1)
#define SOCKADDR_PORT_LEN 8
#define SOCKADDR_TEXT_LEN 80

/* Whether no network can delay what a peer with this address writes: AF_UNIX, or loopback. */
bool sockaddr_is_local(const struct sockaddr *sa);
/* False if it is not an IP address. An IPv4 peer has the IPv4 form on every socket. */
bool sockaddr_host_port(const struct sockaddr *sa, socklen_t len,
                        char host[static SOCKADDR_HOST_LEN], char port[static SOCKADDR_PORT_LEN]);
/* "10.0.0.7:51234" or "[fe80::7%eth0]:51234"; "?" if it is not an IP address. */
void sockaddr_text(const struct sockaddr *sa, socklen_t len, char ret[static SOCKADDR_TEXT_LEN]);
/*
 * Sets *err after `what` (like "connect to") failed for that address with errno; returns -1. If a
 * name led to a link-local address, which lacks its zone, the text says so.
 */
int sockaddr_failed(const char *what, const struct sockaddr *sa, socklen_t len, struct error *err);
/* connect(2) with deadline and cancel; *ret_fd is blocking. For all sockets but TCP. */
MUST_USE int sockaddr_connect(const struct sockaddr *sa, socklen_t len, const char *text,
                              uint64_t deadline, const struct cancel *cancel, int *ret_fd,
                              struct error *err);
