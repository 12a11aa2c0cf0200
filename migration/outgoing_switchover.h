/*
 * migration/outgoing_switchover.h: stops the guest, if it is not stopped yet, sends the rest, and
 * closes the channels.
 */
#pragma once

#include "migration/outgoing_state.h"

MUST_USE int outgoing_stop_guest(struct outgoing *m, struct error *err);
MUST_USE int outgoing_switch_over(struct outgoing *m, struct error *err);
/* Tells a destination that waits for RUN that the guest stays here. Under the group's lock. */
void outgoing_farewell(void *outgoing, const struct error *err);
/* Lets the guest run again after a switch-over that failed. */
void outgoing_release_guest(struct outgoing *m);
