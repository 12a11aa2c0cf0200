/*
 * transport/scheme.h: what each address scheme implements; for transport.c and the schemes only.
 */
#pragma once

#include "transport/address.h"
#include "transport/listener.h"

struct scheme_ops {
    bool many; /* several connections to one address reach the same peer */
    int (*dial)(const struct address *to, const struct transport_config *config, int *ret_fd,
                struct error *err);
    int (*listen)(const struct address *at, const struct transport_config *config,
                  struct listener *l, struct error *err);
    /* transport_probe(). NULL: it cannot be known. */
    int (*probe)(const struct address *to, const struct transport_config *config,
                 struct error *err);
    /* Sets the options of a socket that was dialled or accepted. NULL: nothing to do. */
    int (*tune)(int fd, const struct transport_config *config, struct error *err);
};

/*
 * A duplicate of a stream socket, so that the caller may close its descriptor at any time: blocking
 * if it is connected, non-blocking if it listens. ERR_USAGE for another kind of descriptor.
 */
MUST_USE int socket_copy(int fd, const char *text, bool *ret_listening, int *ret_fd,
                         struct error *err);

extern const struct scheme_ops scheme_tcp, scheme_unix, scheme_vsock, scheme_fd, scheme_file;
