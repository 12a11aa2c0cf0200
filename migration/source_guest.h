/*
 * migration/source_guest.h: stops the guest, and lets it run again.
 */
#pragma once

#include "migration/source_state.h"

/* Does nothing where the guest was stopped before. */
MUST_USE int source_stop_guest(struct source *m, struct error *err);
/* Lets the guest run again after a migration that failed. */
void source_release_guest(struct source *m);
