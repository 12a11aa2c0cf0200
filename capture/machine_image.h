/*
 * capture/machine_image.h: any file as the one RAM block of a machine without devices: mapped as it
 * is, or read into memory.
 */
#pragma once

#include "migration/machine.h"

/* `spec` is PATH or NAME=PATH; the block is called NAME, or "pc.ram". */
MUST_USE int machine_image(const char *spec, struct machine **ret, struct error *err);
/* The same, with a copy of the file in anonymous memory, every page of which is written. */
MUST_USE int machine_memory(const char *spec, struct machine **ret, struct error *err);
