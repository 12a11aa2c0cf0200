/*
 * migration/source_precopy.h: rounds while the guest runs, until it is time to stop it,
 * and then stops it.
 */
#pragma once

#include "migration/source_state.h"

MUST_USE int source_precopy(struct source *m, struct error *err);
