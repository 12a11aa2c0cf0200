/*
 * capture/machine_snapshot.h: a captured VM as a source: it has no guest that runs.
 */
#pragma once

#include "capture/plain_pages.h"
#include "migration/machine.h"
#include "transport/address.h"

/*
 * A snapshot, ours or QEMU's, at an address of scheme ADDRESS_FILE: mapped-ram, whose pages stay in
 * the file, or a plain stream, whose pages are read here (`pages`). The file must not change while
 * it is sent. A block that was left out of it, with x-ignore-shared, has no memory and is shared by
 * a file's name: it can only be left out again.
 *
 * If a mapped-ram file has checksums, all of it but the pages is compared with them here, and each
 * piece of pages while it is sent: damage is ERR_PEER.
 */
MUST_USE int machine_snapshot_file(const struct address *from, enum snapshot_pages pages,
                                   struct machine **ret, struct error *err);
/* The same without looking for checksums. */
MUST_USE int machine_snapshot_unchecked(const struct address *from, enum snapshot_pages pages,
                                        struct machine **ret, struct error *err);
/* Whether the machine is such a file and has checksums, and they are looked at. */
bool machine_snapshot_has_checksums(const struct machine *m);
/* A directory that target_raw made. The same holds for a block that has no file there. */
MUST_USE int machine_snapshot_raw(const char *path, struct machine **ret, struct error *err);
