/*
 * migration/source_setup.h: connects the link, and writes the stream through RAM's first
 * section.
 */
#pragma once

#include "migration/source_state.h"

MUST_USE int source_setup(struct source *m, struct error *err);
