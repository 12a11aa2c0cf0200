/*
 * migration/source_switchover.h: stops the guest, if it is not stopped yet, sends the rest, and
 * closes the channels.
 */
#pragma once

#include "migration/source_state.h"

MUST_USE int source_stop_guest(struct source *m, struct error *err);
MUST_USE int source_switch_over(struct source *m, struct error *err);
/* Lets the guest run again after a switch-over that failed. */
void source_release_guest(struct source *m);
