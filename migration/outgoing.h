/*
 * migration/outgoing.h: the source: setup → rounds → switch-over → done.
 */
#pragma once

#include "migration/machine.h"
#include "migration/plan.h"
#include "migration/stats.h"

struct outgoing;

/* ERR_USAGE where an argument cannot be. The machine must outlive the migration. Its set of RAM
 * blocks is frozen from here on: its owner adds and removes none that is listed, until
 * outgoing_free(). */
MUST_USE int outgoing_new(const struct outgoing_config *config, struct machine *machine,
                          struct outgoing **ret, struct error *err);
/*
 * Runs the migration to its end on the calling thread. After a failure, or a cancel, which is
 * ERR_CANCELLED, the machine runs on as before; after success it is held (MACHINE_MOVING), and so
 * it is where a cancel came too late and the destination, which has everything, says nothing. Once.
 */
MUST_USE int outgoing_run(struct outgoing *m, struct error *err);
/* Any thread, any time until outgoing_free(): takes effect at once. */
void outgoing_update(struct outgoing *m, const struct outgoing_live *live);
/* Any thread, any time until outgoing_free(): leaves pre-switchover; ERR_USAGE where it is not
 * there. */
MUST_USE int outgoing_continue(struct outgoing *m, struct error *err);
/* Any thread, any time until outgoing_free(): the status is cancelling at once, and outgoing_run()
 * ends soon; without effect once the destination may have all it needs. */
void outgoing_cancel(struct outgoing *m);
/* Any thread, any time until outgoing_free(). */
void outgoing_stats(struct outgoing *m, struct migration_snapshot *ret);
void outgoing_free(struct outgoing *m);
