/*
 * drive/drive.h: migrates a guest from one running VM, FROM, into another, TO, by their monitors.
 * Each may be a QEMU of any version or one of ours. No byte of the migration passes here, and
 * nothing is printed.
 *
 * A drive belongs to one thread, except drive_cancel().
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "drive/drive_config.h"

struct drive;

/*
 * Connects to both monitors, checks that these two VMs can migrate, and sets both alike. After a
 * failure here there is nothing to undo, beyond settings; it is ERR_USAGE where a check has refused
 * the two. `from` and `to` are addresses of monitors
 * and must live until drive_free().
 */
MUST_USE int drive_open(const char *from, const char *to, const struct drive_config *config,
                        struct drive **ret, struct error *err);
/*
 * Migrates, once: 0 when the guest is at TO. A failure says where the guest is, and what became of
 * TO. ERR_CANCELLED after drive_cancel() or the time limit: the guest stays at FROM.
 */
MUST_USE int drive_run(struct drive *d, struct error *err);
/* Any thread, also before drive_run(). */
void drive_cancel(struct drive *d);

/* What is known at the end. All of it belongs to the drive. */
struct drive_result {
    json_t *migration;           /* FROM's query-migrate */
    const struct advice *advice; /* NULL: the rounds have shrunk, or there were few */
    json_t *guest;               /* TO's x-query-guest; NULL: TO does not have it */
    const char *uri;
    const char *file;                  /* what was written; NULL: it was no save */
    const char *from, *to;             /* addresses of the monitors; NULL: not driven */
    const char *from_state, *to_state; /* run states; NULL: it did not answer */
};
/* After drive_run(). Asks both VMs for their run states. False if no migration was started. */
bool drive_result(struct drive *d, struct drive_result *ret);

/* Disconnects. NULL is fine. */
void drive_free(struct drive *d);
