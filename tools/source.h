/*
 * tools/source.h: opens the argument SOURCE of send.
 */
#pragma once

#include "migration/machine.h"

MUST_USE int source_open(const char *spec, struct machine **ret, struct error *err);
/* The same for a snapshot only: a mapped-ram file, with or without "file:" in front, or "raw:". */
MUST_USE int source_open_snapshot(const char *spec, struct machine **ret, struct error *err);
