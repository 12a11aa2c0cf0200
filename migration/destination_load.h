/*
 * migration/destination_load.h: the destination loads the stream: what it answers on the way, and
 * what it checks when the stream is complete.
 */
#pragma once

#include "migration/destination_state.h"

/* Main is connected: reads it to the end of the device tail. */
MUST_USE int destination_load(struct destination *m, struct error *err);
