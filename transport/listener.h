/*
 * transport/listener.h: sockets that wait for connections, and the settings with which transport.h
 * dials and listens.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"

#define LISTENER_MAX 16 /* a name may have several addresses: we listen on each */
/* Enough for main, 255 channels, and as many again if a peer opens too many. */
#define LISTENER_BACKLOG 512

struct transport_config {
    uint64_t connect_timeout_ms; /* to dial, or to look up where to listen; 0 = no limit */
    uint64_t stall_timeout_ms;   /* sets how often TCP asks, see path.h; 0 = the kernel's default */
    const struct cancel *cancel;
};

struct listener {
    int fds[LISTENER_MAX];
    size_t n;
    bool single;      /* fd: the socket is already connected, and is handed out once */
    char text[320];   /* the address with the real port: "tcp:127.0.0.1:34567" */
    char unlink[108]; /* unix: the path of the socket that we made; removed at the end */
};
