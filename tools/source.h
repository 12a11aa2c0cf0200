/*
 * tools/source.h: SOURCE of send, as the user writes it.
 */
#pragma once

#include "migration/machine.h"

MUST_USE int source_open(const char *spec, struct machine **ret, struct error *err);
/* A mapped-ram file, with or without file: in front, or raw: only. */
MUST_USE int source_open_snapshot(const char *spec, struct machine **ret, struct error *err);
