/*
 * drive/drive_restore.h: restores a snapshot into a VM that waits, by its monitor: the VM is set,
 * told to listen or to read a file, and asked how it is. It may be a QEMU of any version or one of
 * ours. What sends the memory is the caller's business.
 *
 * The order of the calls: open, check, begin, then load() or the caller's own sending, end.
 *
 * A restore belongs to one thread, except drive_restore_cancel().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "drive/drive.h"

struct drive_restore;

enum restore_then {
    RESTORE_AS_SAVED, /* the guest runs if it ran when it was saved, and the VM lets it */
    RESTORE_RUN,
    RESTORE_PAUSE,
};

struct restore_config {
    struct drive_config drive; /* watch has no meaning here */
    enum restore_then then;
    bool by_vm; /* the VM reads a mapped-ram file itself */
};

/* What the snapshot says of the machine that it was. */
struct restore_facts {
    const char *machine; /* its type, "pc-q35-7.2"; NULL: it does not tell */
    const struct restore_block {
        const char *name;
        uint64_t bytes;
    } * blocks;
    size_t n_blocks;
    const struct uuid *uuid; /* NULL: it does not tell */
};

/* Connects, and checks that this VM waits for a guest. Nothing is changed there yet. `monitor` must
 * live until drive_restore_free(). */
MUST_USE int drive_restore_open(const char *monitor, const struct restore_config *config,
                                struct drive_restore **ret, struct error *err);
/* Whether this VM can be what the snapshot was, as far as it tells. *ret_uuid: the VM's own, all
 * zero where it has none. */
MUST_USE int drive_restore_check(struct drive_restore *r, const struct restore_facts *facts,
                                 struct uuid *ret_uuid, struct error *err);
/* The settings that the sender must have: the user's, or those of a VM that listens already. */
const struct settings *drive_restore_settings(const struct drive_restore *r);
/* Sets the VM. Without by_vm it listens then, at *ret_uri, which lives until drive_restore_free().
 */
MUST_USE int drive_restore_begin(struct drive_restore *r, const char **ret_uri, struct error *err);
/* by_vm: lets the VM read `uri`, and waits until it has. */
MUST_USE int drive_restore_load(struct drive_restore *r, const char *uri, struct error *err);
/* All has been sent or read: 0 when the VM has taken over, and its guest is as the user wants. */
MUST_USE int drive_restore_end(struct drive_restore *r, struct error *err);
/* Adds what the VM says to the error of a restore that has failed. Returns -1. */
int drive_restore_explain(struct drive_restore *r, struct error *err);
/* Any thread. */
void drive_restore_cancel(struct drive_restore *r);
/* The VM's run state; NULL: it does not answer. Lives until the next call. */
const char *drive_restore_state(struct drive_restore *r);
/* NULL is fine. */
void drive_restore_free(struct drive_restore *r);
