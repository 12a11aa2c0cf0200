/*
 * vmm/machine_snapshot.h: a captured VM as a source: nothing in it moves.
 */
#pragma once

#include "migration/machine.h"

/* A mapped-ram snapshot, ours or QEMU's. The file must not change while it is sent. */
MUST_USE int machine_snapshot_file(const char *path, struct machine **ret, struct error *err);
/* A directory that landing_raw made. */
MUST_USE int machine_snapshot_raw(const char *path, struct machine **ret, struct error *err);
