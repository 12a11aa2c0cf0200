/*
 * tools/open_machine.h: opens the argument SOURCE of send.
 */
#pragma once

#include "migration/machine.h"

MUST_USE int open_machine(const char *spec, struct machine **ret, struct error *err);
/* The same for a snapshot only: a mapped-ram file, with or without "file:" in front, or "raw:". */
MUST_USE int open_machine_snapshot(const char *spec, struct machine **ret, struct error *err);
