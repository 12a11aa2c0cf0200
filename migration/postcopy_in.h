/*
 * migration/postcopy_in.h: a destination's side of postcopy, for one that only captures: the guest
 * runs nowhere while its pages come, so none of them is asked for. The result is the state at the
 * switch.
 */
#pragma once

#include <stdbool.h>

#include "ram/ram_load.h"
#include "stream/command.h"

struct postcopy_in {
    bool allowed; /* set by the owner: the target bears it */
    bool advised; /* the source may switch */
    bool running; /* it has switched: it counts on our having the guest */
};

/* Obeys a command of postcopy. ERR_PEER: it comes out of order, or is malformed, or the target
 * does not bear postcopy. */
MUST_USE int postcopy_in_command(struct postcopy_in *p, struct ram_load *load,
                                 const struct command *c, struct error *err);
