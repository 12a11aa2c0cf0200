/*
 * drive/drive_devices.h: the devices of two VMs. For files of drive/ only.
 */
#pragma once

#include "drive/drive_state.h"

/* Each PCI device of FROM must be at its place at TO: its state could not be loaded otherwise. More
 * devices at TO do no harm. */
MUST_USE int drive_check_devices(struct drive *d, struct error *err);
/* Notes what a migration does not move or notice, though it matters: disks, an older program. */
MUST_USE int drive_note(struct drive *d, struct error *err);
