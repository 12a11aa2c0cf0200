/*
 * migration/acceptor.h: the connections of one destination. It accepts them, tells by their first
 * bytes what they are, and serves them: main goes to the caller, multifd channels join the pool.
 * What main says is not known here.
 *
 * Each connection has a thread of its own, since each may keep it waiting.
 */
#pragma once

#include <stdbool.h>

#include "migration/acceptor_config.h"

struct acceptor;

/* Listens when it returns. Resolving the address's name may take time; a cancel of the group ends
 * that. What the configuration points to must outlive the object. */
MUST_USE int acceptor_new(const struct acceptor_config *config, struct acceptor **ret,
                          struct error *err);
/* The address with the real port; valid as long as the object lives. */
const char *acceptor_address(const struct acceptor *a);
/* Starts to accept connections. An error of any of them fails the group. */
MUST_USE int acceptor_start(struct acceptor *a, struct error *err);
/*
 * Waits for main, up to the connect timeout. The timeout runs from now on; with main_any_time, from
 * the first multifd channel on. Main's magic has been read; the channel becomes the caller's.
 */
MUST_USE int acceptor_await_main(struct acceptor *a, struct channel **ret, struct error *err);
/* Main has shown that it is a migration. Until this call, the connect timeout limits all that main
 * has to say. */
void acceptor_proven(struct acceptor *a);
/*
 * A source connects all its channels before it writes main's first byte. So this accepts the
 * connections that wait now, and waits until each has said what it is and no channel id is missing.
 * Fails at once where the source has closed main.
 */
MUST_USE int acceptor_settle(struct acceptor *a, struct error *err);
/*
 * All of the source's connections are there. Where the listener is the caller's, who goes on with
 * another migration, those that come from here on are not accepted: they wait for that one.
 */
void acceptor_enough(struct acceptor *a);
/*
 * Call it when the main stream is complete. Where a connection that was sent away may have been a
 * channel, fails if the packets' numbers say that a channel is missing, or if there is no channel
 * though the main stream says that there are some (`expected`).
 */
MUST_USE int acceptor_check_complete(struct acceptor *a, bool expected, struct error *err);
/* Stops accepting and listening, closes the group, and returns when every thread has ended. */
void acceptor_end(struct acceptor *a);
/* Calls acceptor_end() first. NULL is fine. */
void acceptor_free(struct acceptor *a);
