/*
 * drive/drive_advice.h: judges, from what FROM's query-migrate shows, whether the migration's
 * rounds shrink. For files of drive/ only.
 */
#pragma once

#include "drive/drive_state.h"

/* After each look at FROM: d->advice, and the caller is told once. */
void drive_advise(struct drive *d);
