/*
 * transport/address.h: where a peer is, as the user writes it. Parsing only, no sockets.
 *
 *   tcp:HOST:PORT   tcp:[2001:db8::1]:PORT   unix:PATH   vsock:CID:PORT   fd:N
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum address_scheme { ADDRESS_TCP, ADDRESS_UNIX, ADDRESS_VSOCK, ADDRESS_FD, ADDRESS_N };

struct address {
    enum address_scheme scheme;
    char text[300]; /* as given, for messages */
    char host[256]; /* tcp: name or number, without brackets; "" = every interface */
    char port[32];  /* tcp: number or service name */
    char path[108]; /* unix: fits sockaddr_un */
    uint32_t cid, vsock_port;
    int fd;
};

/* Fails with ERR_USAGE, saying what was expected. */
MUST_USE int address_parse(const char *text, struct address *ret, struct error *err);
