/*
 * migration/outgoing_pass.h: one pass over what the guest has written.
 */
#pragma once

#include "migration/outgoing_state.h"

/* Moves what the guest wrote since the last time, it may run or be stopped, into the next round. */
MUST_USE int outgoing_sync(struct outgoing *m, struct error *err);
/* Sends a round; `last`: the guest is stopped, and its RAM ends here. */
MUST_USE int outgoing_round(struct outgoing *m, bool last, struct error *err);
