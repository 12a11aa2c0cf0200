/*
 * drive/drive_check.h: the first step: are these two VMs what they should be, and where will FROM
 * connect? For files of drive/ only.
 */
#pragma once

#include "drive/drive_state.h"

/* Runs a command that not every VM has; *ret is NULL if the VM refuses it. */
MUST_USE int drive_ask_perhaps(struct monitor *m, const char *command, json_t *arguments,
                               json_t **ret, struct error *err);
/* Whether a migration of this VM can start now: it has a guest, nothing blocks it, and none is
 * under way. */
MUST_USE int drive_check_source(struct monitor *from, struct error *err);
/* Whether this VM still waits for a guest. *ret_heard: where it listens already, or NULL. */
MUST_USE int drive_check_waiting(struct monitor *to, json_t **ret_heard, struct error *err);
/* Waits until the VM has cleaned up after its last migration. */
MUST_USE int drive_await_tidy(struct monitor *m, struct error *err);
/* Such as "pc-q35-7.2-machine"; "": the VM does not tell. */
MUST_USE int drive_machine_of(struct monitor *m, char *ret, size_t size, struct error *err);

/* FROM and TO must differ: a monitor may serve one client at a time, and our second connection
 * would wait for the end of the first. */
MUST_USE int drive_check_two(const char *from, const char *to, struct error *err);
/* Sets d->uri, where the source will connect, and d->heard. */
MUST_USE int drive_choose_uri(struct drive *d, const json_t *heard, struct error *err);
/* Sets d->uri and d->heard, and learns what both VMs have set. As in each check, a refusal is
 * ERR_USAGE: nothing was done. */
MUST_USE int drive_check(struct drive *d, struct error *err);
