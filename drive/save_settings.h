/*
 * drive/save_settings.h: what a VM has to have set while it is saved. Nothing is sent here. For
 * files of drive/ only.
 */
#pragma once

#include "drive/monitor.h"
#include "settings/settings.h"

/*
 * Adds to what the user set: capabilities that would keep memory out of the snapshot, or wait for a
 * peer of another kind, are off; `by_vm`, the pages have places in a file. Call it after
 * monitor_learn(). ERR_USAGE for a setting that no save has.
 */
MUST_USE int save_settings(struct settings *s, const struct monitor *m, bool by_vm,
                           struct error *err);
/* The credentials to set while the VM is saved: none, where it has some; NULL: leave them. */
const char *save_tls_creds(const struct monitor *m);
