/*
 * transport/address.h: a peer's address as the user writes it. Parsing only, no sockets.
 *
 *   tcp:HOST:PORT   tcp:[2001:db8::1]:PORT   tcp:[fe80::1%eth0]:PORT   unix:PATH
 *   vsock:CID:PORT   fd:N
 *   file:PATH[,offset=N]
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum address_scheme {
    ADDRESS_TCP,
    ADDRESS_UNIX,
    ADDRESS_VSOCK,
    ADDRESS_FD,
    ADDRESS_FILE,
    ADDRESS_N
};

struct address {
    enum address_scheme scheme;
    char text[300]; /* as given, for messages */
    char host[256]; /* tcp: name or IP address, without brackets; "" = every interface */
    char port[32];  /* tcp: number or service name */
    char path[108]; /* unix: fits sockaddr_un */
    uint32_t cid, vsock_port;
    int fd;
    char file[280];  /* file: */
    uint64_t offset; /* file: where the stream begins, in bytes */
};

/* Sets of schemes, for uses that allow only some of them. */
#define ADDRESS_SET(scheme) (1U << (scheme))
#define ADDRESSES_ALL       (ADDRESS_SET(ADDRESS_N) - 1)
#define ADDRESSES_SOCKETS                                                                          \
    (ADDRESS_SET(ADDRESS_TCP) | ADDRESS_SET(ADDRESS_UNIX) | ADDRESS_SET(ADDRESS_VSOCK))
/* SOCKETS: a monitor can listen there. TO_DIAL: a monitor's client can connect there. MONITOR_SAYS:
 * a monitor can be told to migrate there. */
#define ADDRESSES_TO_DIAL      (ADDRESSES_SOCKETS | ADDRESS_SET(ADDRESS_FD))
#define ADDRESSES_MONITOR_SAYS (ADDRESSES_SOCKETS | ADDRESS_SET(ADDRESS_FILE))

/* Fails with ERR_USAGE and a text that says what was expected, or which part is wrong. */
MUST_USE int address_parse(const char *text, struct address *ret, struct error *err);
/* The same for some schemes only: no other is accepted, or named in the error. */
MUST_USE int address_parse_of(const char *text, unsigned schemes, struct address *ret,
                              struct error *err);
