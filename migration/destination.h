/*
 * migration/destination.h: the destination: it sorts the connections, loads the stream, and hands
 * the guest over to the target.
 */
#pragma once

#include "migration/machine.h"
#include "migration/plan.h"
#include "migration/stats.h"

struct destination;

/* ERR_USAGE where an argument is not valid. The target must outlive the migration. */
MUST_USE int destination_new(const struct destination_config *config, struct target *target,
                             struct destination **ret, struct error *err);
/*
 * Listens, or has opened the file, when it returns. It waits only for the address of a name, up to
 * the connect timeout; destination_cancel() ends that. Call it at most once, before
 * destination_run(), which otherwise does it.
 */
MUST_USE int destination_listen(struct destination *m, struct error *err);
/* The address with the real port, or the file's. Call it after destination_listen(); valid as long
 * as the object lives. */
const char *destination_address(const struct destination *m);
/*
 * Takes one migration on the calling thread. Call it once. With `measurement` it refuses the guest
 * at the switch-over, and that is a success. After a failure nothing has been
 * committed, with one exception: if the observer was told that the guest runs, it runs here
 * already, and a part of its memory is still mapped from a file.
 */
MUST_USE int destination_run(struct destination *m, struct error *err);
/* Any thread, any time until destination_free(): destination_run() ends soon. Without effect once
 * the stream is complete, unless memory is being taken over from a file. */
void destination_cancel(struct destination *m);
/* Any thread, any time until destination_free(). */
void destination_stats(struct destination *m, struct migration_snapshot *ret);
/*
 * After destination_run() failed: the whole guest is here, and it is paused, because the source was
 * lost before it could say whether its own guest runs on. Only the user can find that out.
 */
bool destination_holds_guest(const struct destination *m);
/* The RAM map as the source listed it. Call it after destination_run(); valid until
 * destination_free(). */
const struct ram_map *destination_ram(const struct destination *m);
void destination_free(struct destination *m);
