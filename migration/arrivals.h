/*
 * migration/arrivals.h: an acceptor's list of connections that have not said what they are, and
 * what becomes of those that never do. Every function but the last is called under the group's
 * lock.
 */
#pragma once

#include "migration/acceptor_state.h"

/* A connection has come: numbers it, and gives it a deadline. */
void arrivals_add(struct acceptor *a, struct arrival *arrival);
/* It is known, or was refused. A second call does nothing. */
void arrivals_remove(struct acceptor *a, struct arrival *arrival);
/* It is known now; false: it was dismissed before. */
bool arrival_is_in_time(struct arrival *arrival);
/* Dismisses the oldest that is not known. False: nobody can be dismissed. */
bool arrivals_dismiss_oldest(struct acceptor *a);
/* Dismisses those whose deadline has passed. */
void arrivals_dismiss_late(struct acceptor *a);
/* Whether the list has a connection that may be a channel of main's source: one that came before
 * main is none, and one after `newest` came too late to be one. */
bool arrivals_await_channel(const struct acceptor *a, uint64_t newest);

/*
 * Without the lock. A refused connection does not end the migration. The first one is remembered:
 * it is named where a channel or main is missing. Puts the peer's address in front of *err.
 */
void arrivals_refuse(struct acceptor *a, const struct arrival *arrival, struct error *err);
