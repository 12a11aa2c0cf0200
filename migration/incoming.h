/*
 * migration/incoming.h: the destination: sort the connections, load, hand over.
 */
#pragma once

#include "migration/machine.h"
#include "migration/plan.h"
#include "migration/stats.h"

struct incoming;

/* ERR_USAGE where an argument cannot be. The landing must outlive the migration. */
MUST_USE int incoming_new(const struct incoming_config *config, struct landing *landing,
                          struct incoming **ret, struct error *err);
/*
 * Listens, or has opened the file, when it returns. Waits only for the address of a name, as long
 * as the connect timeout; incoming_cancel() ends that. Once, before incoming_run(), which else does
 * it.
 */
MUST_USE int incoming_listen(struct incoming *m, struct error *err);
/* The address with the real port, or the file's, as long as the object lives; after that. */
const char *incoming_address(const struct incoming *m);
/*
 * Takes one migration on the calling thread. After a failure nothing has been committed, unless the
 * observer has heard of the guest: it runs here already, with memory that is a file's. Once.
 */
MUST_USE int incoming_run(struct incoming *m, struct error *err);
/* Any thread, any time until incoming_free(): incoming_run() ends soon; without effect once the
 * stream is complete, but for memory that is being taken over from a file. */
void incoming_cancel(struct incoming *m);
/* Any thread, any time until incoming_free(). */
void incoming_stats(struct incoming *m, struct migration_snapshot *ret);
/*
 * After incoming_run() failed: the guest is whole here, and stands still, because the source was
 * lost before it could say whether its own runs on. Only its user knows.
 */
bool incoming_holds_guest(const struct incoming *m);
/* The map as it was listed; valid until incoming_free(), after incoming_run(). */
const struct ram_map *incoming_ram(const struct incoming *m);
void incoming_free(struct incoming *m);
