/*
 * transport/transport.h: from an address to connected sockets. What they carry is not known here;
 * engine.h makes a channel from a connected descriptor.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "transport/address.h"
#include "transport/listener.h"

/* Connects to an address of the name that accepts. The socket is blocking. */
MUST_USE int transport_dial(const struct address *to, const struct transport_config *config,
                            int *ret_fd, struct error *err);
/*
 * Fails if it is certain that nothing listens there, as transport_dial() would. The peer's program
 * notices nothing: it may take only one connection. Waits for a name to be looked up, and then for
 * a second at most for each of its addresses.
 */
MUST_USE int transport_probe(const struct address *to, const struct transport_config *config,
                             struct error *err);
/* True if a second transport_dial() to the address reaches the same peer. */
bool transport_many(const struct address *to);
/* Replaces a name, which may have several addresses, by the one that `fd` is connected to. */
void transport_pin(struct address *a, int fd);

/*
 * The backlog has room for all channels. Waits only to look up a name, for at most
 * connect_timeout_ms or until a cancel. listener_done() accepts a zeroed or half-made listener.
 */
MUST_USE int transport_listen(const struct address *at, const struct transport_config *config,
                              struct listener *ret, struct error *err);
/*
 * A listener on sockets that listen already, for any number of them up to LISTENER_MAX; the
 * descriptors stay the caller's. `text` is for errors; the listener's own is the first one's
 * address.
 */
MUST_USE int transport_listen_on(const int *fds, size_t n, const char *text, struct listener *ret,
                                 struct error *err);
void listener_done(struct listener *l);
/*
 * A second listener on the same sockets, for one user after the other: what has connected waits in
 * the kernel until somebody accepts, and the end of one listener does not end the sockets. It has
 * no path to remove. ERR_USAGE for a socket that is already connected.
 */
MUST_USE int listener_share(const struct listener *l, struct listener *ret, struct error *err);
/*
 * Accepts one connection that has come, without waiting. *ret_fd is -1 if there is none.
 * Only one thread at a time may call it.
 */
MUST_USE int listener_accept(struct listener *l, const struct transport_config *config, int *ret_fd,
                             struct error *err);

#define TRANSPORT_PEER_LEN 80
/* The peer's address, like "10.0.0.7:51234"; "" if the peer has no IP address. */
void transport_peer(int fd, char ret[static TRANSPORT_PEER_LEN]);
/* Whether no network can delay what the peer wrote: AF_UNIX, or a loopback address. */
bool transport_is_local(int fd);
