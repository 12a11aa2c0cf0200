/*
 * transport/scheme.h: what each scheme implements; for transport.c and the schemes only.
 */
#pragma once

#include "transport/transport.h"

struct scheme_ops {
    bool many; /* several connections to one address reach one peer */
    int (*dial)(const struct address *to, const struct transport_config *config, int *ret_fd,
                struct error *err);
    int (*listen)(const struct address *at, const struct transport_config *config,
                  struct listener *l, struct error *err);
    /* Makes a socket that was dialled or accepted fit for use. NULL: nothing to do. */
    int (*tune)(int fd, const struct transport_config *config, struct error *err);
};

extern const struct scheme_ops scheme_tcp, scheme_unix, scheme_vsock, scheme_fd, scheme_file;

/* Main, 255 channels, and as many again from a peer that is wrong. */
#define TRANSPORT_BACKLOG 512

struct sockaddr;
/* As transport_is_local(), of an address. */
bool sockaddr_is_local(const struct sockaddr *sa);
/* "10.0.0.7:51234" or "[fe80::7%eth0]:51234"; what came by IPv4 is IPv4 on every socket. */
void numeric_address(const struct sockaddr *sa, unsigned len, char ret[static TRANSPORT_PEER_LEN]);
/*
 * After `what` ("connect to") has failed with that address, and errno says why. Returns -1. Where a
 * name has led to a link-local address, its zone is missing.
 */
int address_failed(const char *what, const struct sockaddr *sa, unsigned len, struct error *err);
/* One connect(2) with deadline and cancel; *ret_fd is blocking. For sockets other than tcp's. */
MUST_USE int socket_connect(const struct sockaddr *sa, unsigned sa_len, const char *text,
                            uint64_t deadline, const struct cancel *cancel, int *ret_fd,
                            struct error *err);
