/*
 * migration/source_pass.h: one pass over what the guest has written.
 */
#pragma once

#include "migration/source_state.h"

/* Adds the pages that the guest has written since the last call to the next round. The guest may
 * run or be stopped. */
MUST_USE int source_sync(struct source *m, struct error *err);
/* Sends a round. `last`: the guest is stopped, and RAM's last section is written. */
MUST_USE int source_round(struct source *m, bool last, struct error *err);
