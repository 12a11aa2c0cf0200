/*
 * tools/migrate_settings.h: what each of two VMs is told to set before one migrates into the other.
 * Nothing is sent here.
 *
 * Set is what was said on the command line, each at the end that looks at it, and by default what
 * decides how memory travels: multifd and its channels, the method, zero-copy-send, return-path,
 * max-bandwidth. All else stays as the VMs have it.
 */
#pragma once

#include <jansson.h>

#include "migration/settings.h"
#include "tools/monitor.h"

enum migrate_end { END_FROM, END_TO };

/*
 * The arguments of the commands, in the order in which a VM takes them: what is switched off may
 * clash with a parameter, a parameter with what is switched on. NULL: nothing is to be said.
 */
struct migrate_changes {
    json_t *off, *parameters, *on;
};

/*
 * What is said to `m`, which has been learnt. `tls_creds` is this end's; NULL: as it is. A setting
 * that was said and that this VM does not know is an error with its name, one that is only a
 * default is left out. migrate_changes_done() it, after a failure, too.
 */
MUST_USE int migrate_changes(const struct settings *s, enum migrate_end end, const char *tls_creds,
                             const struct monitor *m, struct migrate_changes *ret,
                             struct error *err);
void migrate_changes_done(struct migrate_changes *c);

/*
 * A destination that listens already has been told how many connections come, and may not take
 * another number: what was not said is what it has.
 */
void migrate_settings_adopt(struct settings *s, const struct monitor *to);

/* What has to be alike at both ends and is not, once all was said. */
MUST_USE int migrate_alike(const struct monitor *from, const struct monitor *to, struct error *err);
