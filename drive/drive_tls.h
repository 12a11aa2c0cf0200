/*
 * drive/drive_tls.h: are a VM's TLS credentials there, and of the right kind? A QEMU takes any name
 * when it is set, and looks for the object when it listens or connects: too late for a destination,
 * which can listen once only. For files of drive/ only.
 */
#pragma once

#include "drive/drive_state.h"
#include "drive/migrate_settings.h"

/* The name of this end's credentials, as they are to be set; NULL: left as they are. */
const char *drive_tls_creds(const struct drive *d, enum migrate_end end);
/* After monitor_learn() of both, before anything is set. A VM that does not tell is passed. */
MUST_USE int drive_check_tls(struct drive *d, struct error *err);
/* After drive_set(): a VM of ours is given a folder, and loads what is in it. */
MUST_USE int drive_check_folders(struct drive *d, struct error *err);
