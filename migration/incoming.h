/*
 * migration/incoming.h: the destination: it sorts the connections, loads the stream, and hands the
 * guest over to the landing.
 */
#pragma once

#include "migration/machine.h"
#include "migration/plan.h"
#include "migration/stats.h"

struct incoming;

/* ERR_USAGE where an argument is not valid. The landing must outlive the migration. */
MUST_USE int incoming_new(const struct incoming_config *config, struct landing *landing,
                          struct incoming **ret, struct error *err);
/*
 * Listens, or has opened the file, when it returns. It waits only for the address of a name, up to
 * the connect timeout; incoming_cancel() ends that. Call it at most once, before incoming_run(),
 * which otherwise does it.
 */
MUST_USE int incoming_listen(struct incoming *m, struct error *err);
/* The address with the real port, or the file's. Call it after incoming_listen(); valid as long as
 * the object lives. */
const char *incoming_address(const struct incoming *m);
/*
 * Takes one migration on the calling thread. Call it once. After a failure nothing has been
 * committed, with one exception: if the observer was told that the guest runs, it runs here
 * already, and a part of its memory is still mapped from a file.
 */
MUST_USE int incoming_run(struct incoming *m, struct error *err);
/* Any thread, any time until incoming_free(): incoming_run() ends soon. Without effect once the
 * stream is complete, unless memory is being taken over from a file. */
void incoming_cancel(struct incoming *m);
/* Any thread, any time until incoming_free(). */
void incoming_stats(struct incoming *m, struct migration_snapshot *ret);
/*
 * After incoming_run() failed: the whole guest is here, and it is paused, because the source was
 * lost before it could say whether its own guest runs on. Only the user can find that out.
 */
bool incoming_holds_guest(const struct incoming *m);
/* The RAM map as the source listed it. Call it after incoming_run(); valid until
 * incoming_free(). */
const struct ram_map *incoming_ram(const struct incoming *m);
void incoming_free(struct incoming *m);
