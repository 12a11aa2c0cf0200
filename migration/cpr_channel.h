/*
 * migration/cpr_channel.h: memory is handed over to another process on this host: the connection in
 * front of a migration in mode cpr-transfer, from both ends. What travels is stream/cpr_state.h.
 *
 * The source sends its list and waits until the destination has closed the connection, which says
 * that it listens for the migration itself.
 */
#pragma once

#include "stream/cpr_state.h"
#include "transport/transport.h"

/* `config`: connecting has its timeout, and so has the wait for the destination; sending has the
 * stall timeout. `to` is a UNIX socket. */
MUST_USE int cpr_channel_send(const struct address *to, const struct cpr_state *state,
                              const struct transport_config *config, struct error *err);

/*
 * Waits for a source at the listener, without a limit, and takes its list within the stall timeout.
 * *ret_fd is the connection: closing it tells the source to come. The descriptors in *ret are the
 * caller's, and close at exec.
 */
MUST_USE int cpr_channel_receive(struct listener *at, const struct transport_config *config,
                                 struct cpr_state *ret, int *ret_fd, struct error *err);
