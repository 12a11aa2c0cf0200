/*
 * drive/drive_end.h: the last step: waits for TO, and says where the guest is. For files of drive/
 * only.
 */
#pragma once

#include "drive/drive_state.h"

/* Adds where the guest is now: after a failure an operator needs to know that first. Returns -1. */
int drive_with_states(struct drive *d, struct error *err);
/* The source is done; waits until TO has loaded the rest. */
MUST_USE int drive_arrive(struct drive *d, struct error *err);
/* Adds TO's final state, and its own reason, to the error of a migration that has failed. */
void drive_add_to(struct drive *d, struct error *err);
/* After drive_follow(): 0 when the guest is at TO, and all right by its own report. */
MUST_USE int drive_conclude(struct drive *d, struct error *err);
