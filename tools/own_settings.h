/*
 * tools/own_settings.h: QEMU's settings as this program has them before the user sets any, and the
 * user's over them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "settings/settings.h"

/* Defaults of this program that differ from QEMU's. */
struct own_default {
    const char *name, *value, *why;
};
extern const struct own_default own_defaults[];
extern const size_t n_own_defaults;

/* How many channels this host has a use for. */
uint64_t own_channels(void);

/*
 * *s, what the user set, becomes that over the defaults. `world`: facts, for the gate. `two_vms`:
 * both ends are set, and they may not be ours: only combinations that are wrong everywhere are
 * refused, and the number of channels is chosen here.
 */
MUST_USE int own_settings_check(struct settings *s, uint64_t world, bool two_vms,
                                struct error *err);
/* Checks the rules of a start. If multifd is only a default, an address with room for a single
 * stream switches it off. `world` has the address's facts, too. */
MUST_USE int own_settings_start(struct settings *s, enum moment moment, uint64_t world,
                                struct error *err);
