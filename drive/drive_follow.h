/*
 * drive/drive_follow.h: the longest step: watches FROM until its migration is over, cancels it when
 * it is time to, and lets it go on from pre-switchover. For files of drive/ only.
 */
#pragma once

#include "drive/drive_state.h"

/* d->migration has the end; d->stop says whether it was cancelled from here. */
MUST_USE int drive_follow(struct drive *d, struct error *err);
