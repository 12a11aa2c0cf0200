/*
 * migration/source_switchover.h: the guest is stopped: sends the rest, passes the guest on, and
 * closes the channels.
 */
#pragma once

#include "migration/source_state.h"

MUST_USE int source_switchover(struct source *m, struct error *err);
