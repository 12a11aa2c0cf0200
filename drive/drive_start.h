/*
 * drive/drive_start.h: the next steps: set both VMs alike, let TO listen, let FROM migrate. For
 * files of drive/ only.
 */
#pragma once

#include "drive/drive_state.h"
#include "drive/migrate_settings.h"

/* Sends what migrate_changes() has worked out. */
MUST_USE int drive_send_changes(struct monitor *m, const struct migrate_changes *c,
                                struct error *err);
/* Works out the changes for both VMs before it sends any. */
MUST_USE int drive_set(struct drive *d, struct error *err);
/* Tells TO to take a migration at d->uri. One that fails stays and tells the reason, if it can. */
MUST_USE int drive_tell_incoming(struct drive *d, struct error *err);
/* Makes TO listen if it does not yet, and sets d->uri to where it really listens. */
MUST_USE int drive_listen(struct drive *d, struct error *err);
/* Makes TO listen if it does not yet, corrects d->uri, and starts the migration. */
MUST_USE int drive_start(struct drive *d, struct error *err);
