/*
 * capture/snapshot_name.h: the name of a snapshot among others in a folder: when it was made, and
 * of which VM. No I/O.
 */
#pragma once

#include <time.h>

#include "stream/configuration.h"

#define SNAPSHOT_NAME_LEN 192 /* with the terminator */

/*
 * "20261130T051415.123Z_VM.snap", in UTC, so that names sort by time. VM is the UUID, or the
 * machine's type where the stream has told no UUID; it may come from anyone, so everything but
 * letters, digits, '.' and '-' becomes '_'. `number` from 2 on is added where earlier ones are
 * taken.
 */
void snapshot_name(const struct timespec *at, const struct configuration *vm, unsigned number,
                   char ret[static SNAPSHOT_NAME_LEN]);
