/*
 * migration/source.h: the source: setup → rounds → switch-over → done.
 */
#pragma once

#include "migration/machine.h"
#include "migration/plan.h"
#include "migration/stats.h"

struct source;

/* ERR_USAGE where an argument is not valid. The machine must outlive the migration. Its set of RAM
 * blocks is frozen from here on: until source_free() its owner adds no listed block and removes
 * none. */
MUST_USE int source_new(const struct source_config *config, struct machine *machine,
                        struct source **ret, struct error *err);
/*
 * Runs the migration to its end on the calling thread. Call it once. After a failure or a cancel
 * (ERR_CANCELLED) the machine runs on as before. After success it stays paused (MACHINE_MOVING). It
 * also stays paused after a failure where the guest may run at the destination, which may have
 * everything but says nothing.
 */
MUST_USE int source_run(struct source *m, struct error *err);
/* Any thread, any time until source_free(). Takes effect at once. */
void source_update(struct source *m, const struct runtime_parameters *live);
/* Any thread, any time until source_free(). Leaves status pre-switchover; ERR_USAGE where the
 * status is another. */
MUST_USE int source_continue(struct source *m, struct error *err);
/* Any thread, any time until source_free(). The status is cancelling at once, and source_run()
 * ends soon. Without effect once the destination may have all it needs. */
void source_cancel(struct source *m);
/* Any thread, any time until source_free(). */
void source_stats(struct source *m, struct migration_snapshot *ret);
void source_free(struct source *m);
