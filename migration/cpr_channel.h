/*
 * migration/cpr_channel.h: hands memory over to another process on this host: both ends of the
 * connection that comes before a migration in mode cpr-transfer. stream/cpr_state.h has the bytes.
 *
 * The source sends its list and waits until the destination closes the connection. That says that
 * the destination listens for the migration itself.
 */
#pragma once

#include "stream/cpr_state.h"
#include "transport/transport.h"

/* The connect timeout in `config` limits connecting, and then the wait for the destination; the
 * stall timeout limits sending. `to` is a UNIX socket. */
MUST_USE int cpr_channel_send(const struct address *to, const struct cpr_state *state,
                              const struct transport_config *config, struct error *err);

/*
 * Waits for a source at the listener, without a limit, and receives its list within the stall
 * timeout. *ret_fd is the connection: closing it tells the source to start the migration. The
 * descriptors in *ret are the caller's, and close at exec.
 */
MUST_USE int cpr_channel_receive(struct listener *at, const struct transport_config *config,
                                 struct cpr_state *ret, int *ret_fd, struct error *err);
