/*
 * migration/outgoing_precopy.h: rounds while the guest runs, until it is time to stop it.
 */
#pragma once

#include "migration/outgoing_state.h"

MUST_USE int outgoing_precopy(struct outgoing *m, struct error *err);
