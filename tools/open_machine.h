/*
 * tools/open_machine.h: opens the argument SOURCE of send.
 */
#pragma once

#include <stdbool.h>

#include "migration/machine.h"

MUST_USE int open_machine(const char *spec, struct machine **ret, struct error *err);
/* Whether opening it fills memory, which may take long. */
bool open_machine_fills(const char *spec);
/* The same as open_machine() for a snapshot only: a mapped-ram file, with or without "file:" in
 * front, or "raw:". */
MUST_USE int open_machine_snapshot(const char *spec, struct machine **ret, struct error *err);
