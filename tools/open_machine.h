/*
 * tools/open_machine.h: opens the argument SOURCE of send, and names of snapshots.
 */
#pragma once

#include <stdbool.h>

#include "capture/libvirt_save.h"
#include "capture/plain_pages.h"
#include "migration/machine.h"

MUST_USE int open_machine(const char *spec, struct machine **ret, struct error *err);
/* The same, without a look at the checksums that a file has. */
MUST_USE int open_machine_unchecked(const char *spec, struct machine **ret, struct error *err);
/* Whether opening it will fill memory, which may take long. Fails where its words are wrong; not
 * all is checked that opening it checks. */
MUST_USE int open_machine_check(const char *spec, bool *ret_fills, struct error *err);

/* A snapshot as the user names it: raw:DIR, or a file, with or without "file:" in front. */
struct snapshot_spec {
    const char *raw;             /* the folder; NULL: a file */
    struct address file;         /* a libvirt save file has the offset of its stream */
    bool is_libvirt;             /* what follows was found in front of the stream */
    struct libvirt_save libvirt; /* its stream may be packed */
};

/* The name must outlive *ret, which the caller ends with snapshot_spec_done(). */
MUST_USE int snapshot_spec_read(const char *name, struct snapshot_spec *ret, struct error *err);
/* A zeroed one is fine. */
void snapshot_spec_done(struct snapshot_spec *s);
MUST_USE int open_machine_snapshot(const struct snapshot_spec *name, enum snapshot_pages pages,
                                   struct machine **ret, struct error *err);
