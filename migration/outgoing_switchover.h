/*
 * migration/outgoing_switchover.h: stops the guest, which may stand already, sends the rest, and
 * says goodbye.
 */
#pragma once

#include "migration/outgoing_state.h"

MUST_USE int outgoing_stop_guest(struct outgoing *m, struct error *err);
MUST_USE int outgoing_switch_over(struct outgoing *m, struct error *err);
/* Tells a destination that waits for it that the guest stays here. Under the group's lock. */
void outgoing_farewell(void *outgoing, const struct error *err);
/* Lets the guest run again, where that has come to nothing. */
void outgoing_release_guest(struct outgoing *m);
