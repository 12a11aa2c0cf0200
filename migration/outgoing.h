/*
 * migration/outgoing.h: the source: setup → rounds → switch-over → done.
 */
#pragma once

#include "migration/machine.h"
#include "migration/plan.h"
#include "migration/stats.h"

struct outgoing;

/* ERR_USAGE where an argument is not valid. The machine must outlive the migration. Its set of RAM
 * blocks is frozen from here on: until outgoing_free() its owner adds no listed block and removes
 * none. */
MUST_USE int outgoing_new(const struct outgoing_config *config, struct machine *machine,
                          struct outgoing **ret, struct error *err);
/*
 * Runs the migration to its end on the calling thread. Call it once. After a failure or a cancel
 * (ERR_CANCELLED) the machine runs on as before. After success it is held (MACHINE_MOVING). It is
 * also held after a failure where the guest may run at the destination: that may have everything,
 * but says nothing.
 */
MUST_USE int outgoing_run(struct outgoing *m, struct error *err);
/* Any thread, any time until outgoing_free(). Takes effect at once. */
void outgoing_update(struct outgoing *m, const struct outgoing_live *live);
/* Any thread, any time until outgoing_free(). Leaves status pre-switchover; ERR_USAGE where the
 * status is another. */
MUST_USE int outgoing_continue(struct outgoing *m, struct error *err);
/* Any thread, any time until outgoing_free(). The status is cancelling at once, and outgoing_run()
 * ends soon. Without effect once the destination may have all it needs. */
void outgoing_cancel(struct outgoing *m);
/* Any thread, any time until outgoing_free(). */
void outgoing_stats(struct outgoing *m, struct migration_snapshot *ret);
void outgoing_free(struct outgoing *m);
