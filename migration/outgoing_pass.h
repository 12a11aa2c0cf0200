/*
 * migration/outgoing_pass.h: one pass over what the guest has written.
 */
#pragma once

#include "migration/outgoing_state.h"

/* Adds the pages that the guest has written since the last call to the next round. The guest may
 * run or be stopped. */
MUST_USE int outgoing_sync(struct outgoing *m, struct error *err);
/* Sends a round. `last`: the guest is stopped, and RAM's last section is written. */
MUST_USE int outgoing_round(struct outgoing *m, bool last, struct error *err);
