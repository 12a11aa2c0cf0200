/*
 * drive/drive_save.h: saves a running VM by its monitor. The VM migrates into an end that the
 * caller serves in this process, or writes a file itself; then its guest goes on, stays, or the VM
 * quits. It may be a QEMU of any version or one of ours. No byte of the memory passes here, and
 * nothing is printed.
 *
 * Whatever happens, the VM gets back the settings that were changed, and after a failure its guest
 * runs on if it ran before.
 *
 * A save belongs to one thread, except drive_save_cancel().
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "drive/drive.h"

struct drive_save;

enum save_then {
    SAVE_RESUME, /* the guest runs on, if it ran before */
    SAVE_STOP,
    SAVE_QUIT,
};

struct save_config {
    struct drive_config drive; /* listen_host and uri have no meaning here */
    enum save_then then;       /* after success */
    bool by_vm;                /* the VM writes a file itself, every page at its own place */
};

/* The other end. */
struct save_end {
    /* Takes the migration, on a thread of its own: 0 when the snapshot is whole. NULL: the VM
     * writes it. */
    int (*take)(void *arg, struct error *err);
    /* Any thread, at any time: take() ends soon. */
    void (*cancel)(void *arg);
    /* The VM has written everything, and the guest is stopped: gives the file its name. NULL: there
     * is nothing to do. */
    int (*keep)(void *arg, struct error *err);
    void *arg;
};

/* Connects, and checks that this VM can be saved. Nothing is changed there yet. `monitor` must live
 * until drive_save_free(). */
MUST_USE int drive_save_open(const char *monitor, const struct save_config *config,
                             struct drive_save **ret, struct error *err);
/* Whether the VM is on this host, and whether it also surely runs as the same user as we: then it
 * reaches our private sockets. */
bool drive_save_is_local(const struct drive_save *s);
bool drive_save_is_ours(const struct drive_save *s);
/*
 * Saves, once. `uri`: where the VM migrates to. A failure says how the guest is. ERR_CANCELLED
 * after drive_save_cancel() or the time limit. *ret_kept: whether there is a whole snapshot, which
 * is so even after some failures.
 */
MUST_USE int drive_save_run(struct drive_save *s, const char *uri, const struct save_end *end,
                            bool *ret_kept, struct error *err);
/* Any thread, also before drive_save_run(). */
void drive_save_cancel(struct drive_save *s);
/* As drive_result(), without TO. */
bool drive_save_result(struct drive_save *s, struct drive_result *ret);
/* NULL is fine. */
void drive_save_free(struct drive_save *s);
