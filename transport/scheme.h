/*
 * transport/scheme.h: what each address scheme implements; for transport.c and the schemes only.
 */
#pragma once

#include "transport/transport.h"

struct scheme_ops {
    bool many; /* several connections to one address reach the same peer */
    int (*dial)(const struct address *to, const struct transport_config *config, int *ret_fd,
                struct error *err);
    int (*listen)(const struct address *at, const struct transport_config *config,
                  struct listener *l, struct error *err);
    /* Sets the options of a socket that was dialled or accepted. NULL: nothing to do. */
    int (*tune)(int fd, const struct transport_config *config, struct error *err);
};

extern const struct scheme_ops scheme_tcp, scheme_unix, scheme_vsock, scheme_fd, scheme_file;

/* Enough for main, 255 channels, and as many again if a peer opens too many. */
#define TRANSPORT_BACKLOG 512

struct sockaddr;
/* Like transport_is_local(), for an address. */
bool sockaddr_is_local(const struct sockaddr *sa);
/* "10.0.0.7:51234" or "[fe80::7%eth0]:51234". An IPv4 peer has the IPv4 form on every socket. */
void numeric_address(const struct sockaddr *sa, unsigned len, char ret[static TRANSPORT_PEER_LEN]);
/*
 * Sets *err after `what` (like "connect to") failed for that address with errno; returns -1. If a
 * name led to a link-local address, which lacks its zone, the text says so.
 */
int address_failed(const char *what, const struct sockaddr *sa, unsigned len, struct error *err);
/* connect(2) with deadline and cancel; *ret_fd is blocking. For all sockets but TCP. */
MUST_USE int socket_connect(const struct sockaddr *sa, unsigned sa_len, const char *text,
                            uint64_t deadline, const struct cancel *cancel, int *ret_fd,
                            struct error *err);
