/*
 * drive/settings_undo.h: a VM's settings before they were changed, to give them back. For files of
 * drive/ only.
 */
#pragma once

#include "drive/migrate_settings.h"

/*
 * The changes that undo `made`, by the values in `m` as it was learnt before: only what would
 * differ. Call migrate_changes_done() on it.
 */
void settings_undo_of(const struct migrate_changes *made, const struct monitor *m,
                      struct migrate_changes *ret);
