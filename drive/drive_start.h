/*
 * drive/drive_start.h: the next steps: set both VMs alike, let TO listen, let FROM migrate. For
 * files of drive/ only.
 */
#pragma once

#include "drive/drive_state.h"

/* Works out the changes for both VMs before it sends any. */
MUST_USE int drive_set(struct drive *d, struct error *err);
/* Makes TO listen if it does not yet, corrects d->uri, and starts the migration. */
MUST_USE int drive_start(struct drive *d, struct error *err);
