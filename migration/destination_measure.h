/*
 * migration/destination_measure.h: a destination that only measures. It takes a migration up to the
 * switch-over, and refuses it there through the return path, so that the guest goes on at the
 * source. docs/switch-over.md says why that is safe.
 *
 * Each function but the last fails when the end is reached, and with other errors.
 */
#pragma once

#include "migration/destination_state.h"

/* The block list has come: nothing is measured where the source could not be refused. */
MUST_USE int destination_measure_begin(struct destination *m, struct error *err);
/* A section has ended, and its pages are here; or a word has come, with which a round ends. */
MUST_USE int destination_measure_section(struct destination *m, const struct ram_load *load,
                                         bool word, struct error *err);
/* The source has stopped its guest. */
MUST_USE int destination_measure_stopped(struct destination *m, struct error *err);
/* SWITCHOVER_MEASURED has come: the source would stop its guest now. */
MUST_USE int destination_measure_told(struct destination *m, const struct command *c,
                                      struct error *err);
/* Whether one of these has reached the end; the error that it failed with means nothing then. */
bool destination_is_measured(const struct destination *m);
/* Refuses the migration. The connections are cut when this returns. */
void destination_measure_refuse(struct destination *m);
