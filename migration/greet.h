/*
 * migration/greet.h: what a new connection of an acceptor is, found by its first bytes on a thread
 * of its own. Main is handed to the acceptor; a multifd channel joins the pool and is served by
 * that thread; anything else is sent away.
 */
#pragma once

#include "migration/acceptor_state.h"

/* Takes the channel, after a failure too. The thread is not joined: acceptor_end() waits until
 * `living` is 0. */
MUST_USE int greet_start(struct acceptor *a, struct channel *c, struct error *err);
