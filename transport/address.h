/*
 * transport/address.h: where a peer is, as the user writes it. Parsing only, no sockets.
 *
 *   tcp:HOST:PORT   tcp:[2001:db8::1]:PORT   unix:PATH   vsock:CID:PORT   fd:N
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
    char host[256]; /* tcp: name or number, without brackets; "" = every interface */
    char port[32];  /* tcp: number or service name */
    char path[108]; /* unix: fits sockaddr_un */
    uint32_t cid, vsock_port;
    int fd;
    char file[280];  /* file: */
    uint64_t offset; /* of the stream's first byte in it */
};

/* Fails with ERR_USAGE, saying what was expected. */
MUST_USE int address_parse(const char *text, struct address *ret, struct error *err);
