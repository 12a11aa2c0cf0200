/*
 * drive/migrate_settings.h: what each of two VMs is told to set before one migrates into the other.
 * Nothing is sent here.
 *
 * A setting of the user is set at the end that uses it. The settings that decide how memory travels
 * are set by default, too: multifd and its channels, the method, zero-copy-send, return-path,
 * max-bandwidth. All others stay as the VMs have them.
 */
#pragma once

#include <jansson.h>

#include "drive/monitor.h"
#include "settings/settings.h"

enum migrate_end { END_FROM, END_TO };

/*
 * The arguments of the commands, in the order in which a VM takes them: a capability that is still
 * on may clash with a new parameter, an old parameter with a new capability. NULL: nothing to send.
 */
struct migrate_changes {
    json_t *off, *parameters, *on;
};

/*
 * What to send to `m`, after monitor_learn(). `tls_creds` is for this end; NULL: leave it as it is.
 * A setting that the user set and that this VM does not know is an error with its name; one that is
 * only a default is left out. Call migrate_changes_done() on the result, after a failure, too.
 */
MUST_USE int migrate_changes(const struct settings *s, enum migrate_end end, const char *tls_creds,
                             const struct monitor *m, struct migrate_changes *ret,
                             struct error *err);
void migrate_changes_done(struct migrate_changes *c);
/* Puts into what monitor_learn() has learnt what will hold after the changes. */
void migrate_changes_foresee(const struct migrate_changes *c, struct monitor *m);

/*
 * Takes over the destination's multifd settings that the user did not set. A destination that
 * already listens has been told how many connections come, and may refuse another number.
 */
void migrate_settings_adopt(struct settings *s, const struct monitor *to);

/* Fails if a setting that must be equal at both ends is not, after all changes were sent. */
MUST_USE int migrate_alike(const struct monitor *from, const struct monitor *to, struct error *err);
