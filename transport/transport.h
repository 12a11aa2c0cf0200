/*
 * transport/transport.h: from an address to connected sockets. What travels on them is not known
 * here; a connected descriptor becomes a channel in engine.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/error.h"
#include "transport/address.h"

#define LISTENER_MAX 16 /* a name may have several addresses: we listen on each */

struct transport_config {
    uint64_t connect_timeout_ms; /* to dial, or to look up where to listen; 0 = no limit */
    uint64_t stall_timeout_ms;   /* how often TCP asks, see path.h; 0 = as the kernel has it */
    const struct cancel *cancel;
};

struct listener {
    int fds[LISTENER_MAX];
    size_t n;
    bool single;      /* fd: of a connected socket: it is handed out once */
    char text[320];   /* the address with the real port: "tcp:127.0.0.1:34567" */
    char unlink[108]; /* unix: the socket we made, removed at the end */
};

/* Connects to an address of the name that answers. The socket is blocking. */
MUST_USE int transport_dial(const struct address *to, const struct transport_config *config,
                            int *ret_fd, struct error *err);
/* True where a second transport_dial() to the address reaches the same peer. */
bool transport_many(const struct address *to);
/* What `fd` is connected to, in the place of a name that may have several addresses. */
void transport_pin(struct address *a, int fd);

/*
 * The backlog holds all channels. Waits only for a name's address: as long as for a connection, and
 * not after a cancel. listener_done() takes a zeroed or half-made listener.
 */
MUST_USE int transport_listen(const struct address *at, const struct transport_config *config,
                              struct listener *ret, struct error *err);
void listener_done(struct listener *l);
/*
 * Takes one waiting connection without waiting. *ret_fd is -1 when there is none.
 * Not for two threads at once.
 */
MUST_USE int listener_accept(struct listener *l, const struct transport_config *config, int *ret_fd,
                             struct error *err);

#define TRANSPORT_PEER_LEN 80
/* Who is at the other end, "10.0.0.7:51234", or "" where that has no name. */
void transport_peer(int fd, char ret[static TRANSPORT_PEER_LEN]);
/* Whether what the peer wrote cannot be delayed by a network: AF_UNIX, or a loopback address. */
bool transport_is_local(int fd);
