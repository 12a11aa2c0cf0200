/*
 * migration/outgoing_setup.h: opens all channels, and writes the stream through RAM's first
 * section.
 */
#pragma once

#include "migration/outgoing_state.h"

MUST_USE int outgoing_set_up(struct outgoing *m, struct error *err);
