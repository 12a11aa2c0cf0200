/*
 * drive/drive_alike.h: are two VMs made alike? What a destination would notice only after much has
 * been sent, when it cannot take another migration any more. For files of drive/ only.
 */
#pragma once

#include "drive/drive_state.h"

/*
 * After monitor_learn() of both. Compares what both tell: machine type, memory, CPUs, accelerator,
 * PCI devices. The error says what differs and at which end to change it.
 */
MUST_USE int drive_check_alike(struct drive *d, struct error *err);
/* Where FROM's settings have TO compare the UUIDs; after migrate_changes_foresee(). */
MUST_USE int drive_check_uuid(struct drive *d, struct error *err);
